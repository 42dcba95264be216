"""skorch's nets with weighted losses: by ``sample_weight`` in ``fit``, or by any scheme of ``hs.Weighting``."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, default_collate

from hardsight.data.alignment import check_indexes
from hardsight.errors import InputError
from hardsight.integrations._row_weights import make_row_weighting
from hardsight.weights.training import Weighting
from hardsight.weights.training.own_loss import BatchLayout, LossRecorder, split_by_sample
from hardsight.weights.training.scheme_inputs import read_scheme_inputs

try:
    from skorch import NeuralNetClassifier
    from skorch.dataset import unpack_data
    from skorch.utils import data_from_dataset, to_numpy, to_tensor
except ImportError as error:
    raise ImportError("skorch is not installed: pip install 'hardsight[skorch]'") from error


class _Batch(NamedTuple):
    """Features of a batch with the ids of its samples."""

    ids: Tensor
    features: Any


class _IndexedItems(Dataset):
    """Items (X, y) of a skorch data set, with their positions in the data that ``fit`` received."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.ids = _find_positions(dataset)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: int) -> tuple[int, Any]:
        return int(self.ids[position]), self.dataset[position]


class _BatchCollator:
    """A collator of batches (X, y) whose X carries the ids."""

    def __init__(self, base: Any) -> None:
        self.base = base

    def __call__(self, items: list[tuple[int, Any]]) -> tuple[_Batch, Any]:
        features, labels = unpack_data(self.base([item for _, item in items]))
        return _Batch(torch.tensor([number for number, _ in items]), features), labels


class WeightedNet:
    """A mixin for skorch's nets that weights training losses.

    Put it before the net: ``class Mine(WeightedNet, NeuralNetRegressor)``. Validation losses are not weighted. Ids are
    positions in the data that ``fit`` receives, so schemes with a state per sample work with shuffled batches and with
    skorch's own validation split. What is weighted is the loss of the criterion, also with class weights, label smoothing
    or labels that do not count: weights of one train as no weights do. Its loss must have a part for each sample, as that
    of all of torch's criteria has.

    Args:
        module: as in skorch.
        weighting: name of a scheme in ``hardsight.SCHEMES`` that is applied while the net trains; or weights
            ``(sample,)`` or a ``Difficulty`` of all samples that ``fit`` receives, in their order, whatever the
            difficulty's ids (for parts of them, such as folds, pass ``sample_weight``); None: only the
            ``sample_weight`` of ``fit``, if any.
        weighting_parameters: other arguments of :class:`hardsight.Weighting`, such as the scheme's own parameters.
        kwargs: as in skorch.

    Attributes:
        weighting_: the :class:`hardsight.Weighting` of the last ``fit``; None if nothing is weighted.
    """

    criterion_: Any
    module_: Any
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
        """Train from the start.

        Args:
            X: as in skorch.
            y: as in skorch.
            sample_weight: ``(sample,)``, 0 or more; multiplies each sample's part of the loss.
            fit_params: as in skorch.

        Raises:
            InputError: there are weights beside a scheme, negative weights, or not one weight per sample; indexes of
                pandas contradict each other; the difficulty is of other samples; or the loss of the criterion has no part
                for each sample.
        """
        check_indexes(X=X, y=y, sample_weight=sample_weight)
        weights = _check_weights(sample_weight, self.weighting)
        self.weighting_ = None
        return super().fit(X, y, sample_weight=weights, **fit_params)  # type: ignore[misc]

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Continue training.

        The state of a scheme is kept if there are as many samples of each class as before, which are then taken to be
        the same samples in the same order. Weights of an earlier call are not kept.

        Args:
            X: as in skorch.
            y: as in skorch.
            sample_weight: as in :meth:`fit`.
            classes: as in skorch.
            fit_params: as in skorch.

        Raises:
            InputError: as in :meth:`fit`.
        """
        check_indexes(X=X, y=y, sample_weight=sample_weight)
        self._sample_weight, self._needs_weighting = _check_weights(sample_weight, self.weighting), True
        return super().partial_fit(X, y, classes=classes, **fit_params)  # type: ignore[misc]

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        """Split as skorch does, and create the weighting of the training part."""
        train, valid = super().get_split_datasets(X, y, **fit_params)  # type: ignore[misc]
        # Users may ask for the splits of a fitted net, too.
        if getattr(self, "_needs_weighting", True):
            # Through vars, because skorch takes modules that are set as attributes to be parts of the net.
            vars(self)["weighting_"] = self._make_weighting(train)
            self._needs_weighting = False
        return train, valid

    def _make_weighting(self, train: Any) -> Weighting | None:
        count, weights = _count_samples(train), getattr(self, "_sample_weight", None)
        if weights is not None:
            if len(weights) != count:
                raise InputError(f"sample_weight must have one value per sample: {count} samples, {len(weights)} weights")
            return Weighting(weights, count)
        if self.weighting is None:
            return None
        if not isinstance(self.weighting, str):
            return make_row_weighting(self.weighting, count, self.weighting_parameters or {})
        previous, sizes = getattr(self, "weighting_", None), _class_sizes(train)
        if previous is not None and previous.sizes is not None:
            sizes = _pad_sizes(sizes, len(previous.sizes))
        weighting = self._make_scheme_weighting(count, sizes)
        if previous is not None and _is_same_training_set(previous, weighting):
            weighting.load_state_dict(previous.state_dict())
        return weighting

    def _make_scheme_weighting(self, count: int, sizes: Tensor | None) -> Weighting:
        arguments = {"num_samples": count, "sizes": sizes, "epochs": self.max_epochs}
        return make_row_weighting(self.weighting, count, arguments | (self.weighting_parameters or {}))

    def _extend_classes(self, classes: int) -> None:
        """Give the weighting all classes of the net: class sizes end with the highest class of the training part."""
        previous = self.weighting_
        if previous is None or previous.sizes is None or len(previous.sizes) >= classes:
            return
        sizes = _pad_sizes(previous.sizes.cpu(), classes)
        weighting = self._make_scheme_weighting(previous.id_index.count, sizes).to(self.device)
        weighting.epoch = previous.epoch
        vars(self)["weighting_"] = weighting

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return the iterator of skorch; training batches carry the ids of their samples."""
        if not training:
            return super().get_iterator(dataset, training=False)  # type: ignore[misc]
        iterator = self._make_training_iterator(dataset)
        # The loaders of accelerate count epochs from 0, also in partial_fit.
        if hasattr(iterator, "set_epoch"):
            iterator.set_epoch(len(self.history))
        return iterator

    def _make_training_iterator(self, dataset: Any) -> Any:
        if getattr(self, "weighting_", None) is None:
            return super().get_iterator(dataset, training=True)  # type: ignore[misc]
        attribute = "iterator_train__collate_fn"
        collator = self.get_params_for("iterator_train").get("collate_fn", default_collate)
        previous = vars(self).get(attribute)
        vars(self)[attribute] = _BatchCollator(collator)
        try:
            return super().get_iterator(_IndexedItems(dataset), training=True)  # type: ignore[misc]
        finally:
            del vars(self)[attribute]
            if previous is not None:
                vars(self)[attribute] = previous

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the epoch of the weighting."""
        super().on_epoch_begin(net, **kwargs)  # type: ignore[misc]
        if self.weighting_ is not None:
            self.weighting_.to(self.device).set_epoch(len(self.history) - 1)

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Call the module, without the ids."""
        return super().infer(x.features if isinstance(x, _Batch) else x, **fit_params)  # type: ignore[misc]

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the loss of skorch; that of a training batch is weighted."""
        if not isinstance(X, _Batch):
            return super().get_loss(y_pred, y_true, X=X, training=training)  # type: ignore[misc,no-any-return]
        if not training:
            return super().get_loss(y_pred, y_true, X=X.features, training=False)  # type: ignore[misc,no-any-return]
        own_loss = super().get_loss  # type: ignore[misc]
        losses, inputs, rest = self._split_loss(lambda: own_loss(y_pred, y_true, X=X.features, training=True), y_true, X)
        assert self.weighting_ is not None
        # Nets that accumulate override train_step; gradients from an earlier batch show it.
        compares = self.weighting_.compares_samples() is not False or self.weighting_.reduction == "weighted mean"
        if compares and _has_gradients(self.module_):
            self.weighting_.micro_batches = 2
        weighted: Tensor = self.weighting_(losses, X.ids.to(losses.device), **inputs)
        return weighted if rest is None else weighted + rest

    def _split_loss(
        self, own_loss: Callable[[], Tensor], y_true: Any, X: _Batch
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        """Split the loss of skorch.

        Returns:
            Losses of the samples, whose mean is the loss of skorch without the rest, ``(sample,)``; other inputs of a
            scheme; the rest, terms that belong to no sample, or None.
        """
        n_samples = len(X.ids)
        is_codes = isinstance(y_true, Tensor) and not y_true.is_floating_point()
        layout = BatchLayout(n_samples, (to_tensor(y_true, device=self.device),) if is_codes else ())
        try:
            with LossRecorder(layout) as recorder:
                loss = own_loss().mean()
            own = split_by_sample(loss, recorder)
        except InputError as error:
            losses = self._unreduced_losses(own_loss, n_samples)
            if losses is None:
                raise error from None
            return losses, {}, None
        if recorder.calls[0].has_classes:
            self._extend_classes(recorder.calls[0].arguments["input"].shape[1])
        assert self.weighting_ is not None
        return own.parts * n_samples, read_scheme_inputs(self.weighting_.scheme, recorder.calls, n_samples), own.rest

    def _unreduced_losses(self, own_loss: Callable[[], Tensor], n_samples: int) -> Tensor | None:
        """Return the losses of the samples by reduction="none"; None if the criterion has none that add up to its loss."""
        reduction = getattr(self.criterion_, "reduction", None)
        if reduction not in ("mean", "sum"):
            return None
        loss = own_loss()
        self.criterion_.reduction = "none"
        try:
            losses = own_loss()
        finally:
            self.criterion_.reduction = reduction
        if losses.dim() == 0 or len(losses) != n_samples:
            return None
        losses = losses.reshape(n_samples, -1)
        losses = losses.mean(1) if reduction == "mean" else losses.sum(1) * n_samples
        return losses if torch.allclose(losses.mean(), loss, rtol=1e-4) else None


class WeightedNeuralNetClassifier(WeightedNet, NeuralNetClassifier):
    """skorch's ``NeuralNetClassifier``, with ``sample_weight`` in ``fit``, or trained by any scheme of hardsight.

    It works like scikit-learn's classifiers: in pipelines, searches and cross-validation, cloned and pickled. See
    :class:`WeightedNet`.
    """


def _has_gradients(module: Any) -> bool:
    return isinstance(module, torch.nn.Module) and any(p.grad is not None and p.grad.any() for p in module.parameters())


def _check_weights(weights: Any, weighting: Any) -> np.ndarray | None:
    if weights is None:
        return None
    if weighting is not None:
        raise InputError("sample_weight cannot be combined with weighting: leave one of them out")
    values = np.asarray(to_numpy(weights) if isinstance(weights, Tensor) else weights, dtype=np.float64)
    if values.ndim != 1 or not (np.isfinite(values) & (values >= 0)).all():
        raise InputError(f"sample_weight must be finite numbers, 0 or more, (sample,). Got the shape {values.shape}")
    return values


def _find_positions(dataset: Any) -> np.ndarray:
    if isinstance(dataset, Subset):
        positions: np.ndarray = _find_positions(dataset.dataset)[np.asarray(dataset.indices)]
        return positions
    return np.arange(len(dataset))


def _count_samples(dataset: Any) -> int:
    return _count_samples(dataset.dataset) if isinstance(dataset, Subset) else len(dataset)


def _class_sizes(dataset: Any) -> Tensor | None:
    """Count the samples of each class; None if the labels are not class codes in memory."""
    try:
        labels = to_numpy(data_from_dataset(dataset)[1])
    except (AttributeError, TypeError):
        return None
    return torch.from_numpy(np.bincount(labels)) if labels.dtype.kind in "iu" and labels.ndim == 1 else None


def _pad_sizes(sizes: Tensor | None, classes: int) -> Tensor | None:
    """Append zeros for the classes without samples. ``(class,)``"""
    return None if sizes is None else torch.nn.functional.pad(sizes, (0, max(0, classes - len(sizes))))


def _is_same_training_set(first: Weighting, second: Weighting) -> bool:
    """Whether two weightings have the same scheme, and as many samples of each class."""
    if first.description != second.description:
        return False
    if first.sizes is None or second.sizes is None:
        return first.sizes is second.sizes
    return torch.equal(first.sizes.cpu(), second.sizes)
