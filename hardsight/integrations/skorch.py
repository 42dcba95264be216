"""skorch's nets with weighted losses: ``sample_weight`` in ``fit``, or any scheme of ``hs.Weighting`` while they train."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, default_collate

from hardsight.errors import InputError
from hardsight.integrations._row_weights import make_row_weighting
from hardsight.weights.training import Weighting

try:
    from skorch import NeuralNetClassifier
    from skorch.dataset import unpack_data
    from skorch.utils import data_from_dataset, to_numpy, to_tensor
except ImportError as fault:
    raise ImportError("skorch is not installed: pip install 'hardsight[skorch]'") from fault


class _Batch(NamedTuple):
    """Features of a batch with the ids of their samples."""

    ids: Tensor
    features: Any


class _IndexedItems(Dataset):
    """Items of a skorch data set, (X, y), with their positions in the data that was given to ``fit``."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.ids = _find_positions(dataset)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, at: int) -> tuple[int, Any]:
        return int(self.ids[at]), self.dataset[at]


class _BatchCollator:
    """Batches (X, y) whose X brings the ids."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, items: list[tuple[int, Any]]) -> tuple[_Batch, Any]:
        features, labels = unpack_data(self.inner([item for _, item in items]))
        return _Batch(torch.tensor([each for each, _ in items]), features), labels


class WeightedNet:
    """Mixin for skorch's nets: put it before the net, ``class Mine(WeightedNet, NeuralNetRegressor)``.

    Training losses are weighted, validation losses are not. Ids are positions in the data that ``fit`` is given, so schemes
    that remember each sample work with shuffled batches and with skorch's own split for validation. The criterion must be
    able to give the loss of each sample (``reduction="none"``), as torch's can.

    Args:
        module: as in skorch.
        weighting: name of a scheme in ``hardsight.SCHEMES`` that is applied while the net trains; or weights ``(sample,)``
            or a ``Difficulty`` of all that ``fit`` is given, in its order, whatever the difficulty's ids (of parts of it,
            such as folds, pass ``sample_weight``); None: only weights that ``fit`` is given, if any.
        weighting_parameters: other arguments of :class:`hardsight.Weighting`, such as the scheme's own parameters.
        kwargs: as in skorch.

    Attributes:
        weighting_: the :class:`hardsight.Weighting` of the last ``fit``; None where nothing is weighted.
    """

    criterion_: Any
    device: Any
    history: Any
    max_epochs: int
    weighting_: Weighting | None
    get_params_for: Any

    def __init__(
        self,
        module: Any,
        *args: Any,
        weighting: Any = None,
        weighting_parameters: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, *args, **kwargs)  # type: ignore[call-arg]
        self.weighting = weighting
        self.weighting_parameters = weighting_parameters

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **fit_params: Any) -> Any:
        """Train anew.

        Args:
            X: as in skorch.
            y: as in skorch.
            sample_weight: ``(sample,)``, 0 or more; the loss of a batch is the mean of weight × loss.
            fit_params: as in skorch.

        Raises:
            InputError: weights besides a scheme, below 0, or not one a sample; a difficulty of other samples; a criterion
                without losses of samples.
        """
        given = _check_weights(sample_weight, self.weighting)
        self.weighting_ = None
        return super().fit(X, y, sample_weight=given, **fit_params)  # type: ignore[misc]

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, classes: Any = None, **fit_params: Any
    ) -> Any:
        """Train on.

        What a scheme remembers of each sample is kept where there are as many samples of each class as before, which are
        then taken for the same ones in the same order; weights of an earlier call are not.

        Args:
            X: as in skorch.
            y: as in skorch.
            sample_weight: as in :meth:`fit`.
            classes: as in skorch.
            fit_params: as in skorch.

        Raises:
            InputError: as in :meth:`fit`.
        """
        self._given_weights, self._begins = _check_weights(sample_weight, self.weighting), True
        return super().partial_fit(X, y, classes=classes, **fit_params)  # type: ignore[misc]

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        """As in skorch; the weighting is made for what is there to train on."""
        train, valid = super().get_split_datasets(X, y, **fit_params)  # type: ignore[misc]
        # Users ask for the splits of a fitted net, too.
        if getattr(self, "_begins", True):
            # skorch takes modules that are set as attributes for parts of what it trains.
            vars(self)["weighting_"] = self._made(train)
            self._begins = False
        return train, valid

    def _made(self, train: Any) -> Weighting | None:
        count, given = _count_samples(train), getattr(self, "_given_weights", None)
        if given is not None:
            if len(given) != count:
                raise InputError(f"sample_weight must have one value a sample: {count} samples, {len(given)} weights")
            return Weighting(given, count)
        if self.weighting is None:
            return None
        if not isinstance(self.weighting, str):
            return make_row_weighting(self.weighting, count, self.weighting_parameters or {})
        before, sizes = getattr(self, "weighting_", None), _class_sizes(train)
        if before is not None and before.sizes is not None:
            sizes = _pad_sizes(sizes, len(before.sizes))
        made = self._of_scheme(count, sizes)
        if before is not None and _is_same_training_set(before, made):
            made.load_state_dict(before.state_dict())
        return made

    def _of_scheme(self, count: int, sizes: Tensor | None) -> Weighting:
        told = {"num_samples": count, "sizes": sizes, "epochs": self.max_epochs}
        return make_row_weighting(self.weighting, count, told | (self.weighting_parameters or {}))

    def _tell_classes(self, classes: int) -> None:
        """Sizes of the training part's classes end with the highest one there, and the net may know more."""
        told = self.weighting_
        if told is None or told.sizes is None or len(told.sizes) >= classes:
            return
        made = self._of_scheme(told.id_index.count, _pad_sizes(told.sizes.cpu(), classes)).to(self.device)
        made.epoch = told.epoch
        vars(self)["weighting_"] = made

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """As in skorch; training batches bring the ids of their samples."""
        if not training or getattr(self, "weighting_", None) is None:
            return super().get_iterator(dataset, training=training)  # type: ignore[misc]
        inner = self.get_params_for("iterator_train").get("collate_fn", default_collate)
        kept = self.__dict__.get("iterator_train__collate_fn")
        self.__dict__["iterator_train__collate_fn"] = _BatchCollator(inner)
        try:
            return super().get_iterator(_IndexedItems(dataset), training=True)  # type: ignore[misc]
        finally:
            del self.__dict__["iterator_train__collate_fn"]
            if kept is not None:
                self.__dict__["iterator_train__collate_fn"] = kept

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """As in skorch; the weighting is told the epoch."""
        super().on_epoch_begin(net, **kwargs)  # type: ignore[misc]
        if self.weighting_ is not None:
            self.weighting_.to(self.device).set_epoch(len(self.history) - 1)

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """As in skorch; the module does not see the ids."""
        return super().infer(x.features if isinstance(x, _Batch) else x, **fit_params)  # type: ignore[misc]

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """As in skorch; that of a training batch is weighted."""
        if not isinstance(X, _Batch):
            return super().get_loss(y_pred, y_true, X=X, training=training)  # type: ignore[misc,no-any-return]
        if not training:
            return super().get_loss(y_pred, y_true, X=X.features, training=False)  # type: ignore[misc,no-any-return]
        kept = getattr(self.criterion_, "reduction", None)
        if kept is None:
            raise InputError(
                f"the criterion {type(self.criterion_).__name__} has no reduction: use one that gives the loss of each "
                "sample with reduction='none', as torch's do"
            )
        self.criterion_.reduction = "none"
        try:
            losses = super().get_loss(y_pred, y_true, X=X.features, training=True)  # type: ignore[misc]
        finally:
            self.criterion_.reduction = kept
        losses = losses.reshape(len(X.ids), -1).mean(1)
        logits = _to_logits(y_pred, self.criterion_)
        labels = None
        if logits is not None:
            labels = to_tensor(y_true, device=self.device)
            self._tell_classes(logits.shape[1])
        assert self.weighting_ is not None
        weighted: Tensor = self.weighting_(losses, X.ids.to(losses.device), logits=logits, labels=labels)
        return weighted


class WeightedNeuralNetClassifier(WeightedNet, NeuralNetClassifier):
    """skorch's ``NeuralNetClassifier`` whose ``fit`` takes ``sample_weight``, or which trains by any scheme of hardsight.

    It works where scikit-learn's classifiers do: in pipelines, searches and cross-validation, cloned and pickled.
    See :class:`WeightedNet`.
    """


def _check_weights(weights: Any, weighting: Any) -> np.ndarray | None:
    if weights is None:
        return None
    if weighting is not None:
        raise InputError("there are both weighting=… and sample_weight=…: leave one of them out")
    given = np.asarray(to_numpy(weights) if isinstance(weights, Tensor) else weights, dtype=np.float64)
    if given.ndim != 1 or not (np.isfinite(given) & (given >= 0)).all():
        raise InputError(f"sample_weight must be finite numbers, 0 or more, (sample,). Got shape {given.shape}")
    return given


def _find_positions(dataset: Any) -> np.ndarray:
    if isinstance(dataset, Subset):
        inside: np.ndarray = _find_positions(dataset.dataset)[np.asarray(dataset.indices)]
        return inside
    return np.arange(len(dataset))


def _count_samples(dataset: Any) -> int:
    return _count_samples(dataset.dataset) if isinstance(dataset, Subset) else len(dataset)


def _class_sizes(dataset: Any) -> Tensor | None:
    """Samples of each class; None where the labels are no class codes at hand."""
    try:
        labels = to_numpy(data_from_dataset(dataset)[1])
    except (AttributeError, TypeError):
        return None
    return torch.from_numpy(np.bincount(labels)) if labels.dtype.kind in "iu" and labels.ndim == 1 else None


def _pad_sizes(sizes: Tensor | None, classes: int) -> Tensor | None:
    """Of all classes, those that are not there, too; ``(class,)``."""
    return None if sizes is None else torch.nn.functional.pad(sizes, (0, max(0, classes - len(sizes))))


def _is_same_training_set(one: Weighting, other: Weighting) -> bool:
    """Whether both are of the same scheme, and of as many samples of each class."""
    if one.get_extra_state()["description"] != other.get_extra_state()["description"]:
        return False
    if one.sizes is None or other.sizes is None:
        return one.sizes is other.sizes
    return torch.equal(one.sizes.cpu(), other.sizes)


def _to_logits(predicted: Any, criterion: Any) -> Tensor | None:
    """Log-probabilities do as logits; None where the output is no score of each class."""
    scores = predicted[0] if isinstance(predicted, tuple) else predicted
    if scores.ndim != 2 or not isinstance(criterion, torch.nn.NLLLoss | torch.nn.CrossEntropyLoss):
        return None
    return torch.log(scores + torch.finfo(scores.dtype).eps) if isinstance(criterion, torch.nn.NLLLoss) else scores
