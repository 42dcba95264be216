"""The learner that trains and predicts by two functions of the user."""

import gc
import inspect
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import HardsightError, HardsightWarning, InputError, LearnerError, first_line
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.loop.functions import bind_train, check_predict, code_digest, function_name
from hardsight.learners.loop.outputs import OUTPUTS, ClassOutputs, read_array, read_values
from hardsight.learners.loop.parts import PartRows
from hardsight.learners.network.seeds import seed_global_numbers
from hardsight.learners.sklearn import mean_one
from hardsight.resampling.plan import Member, Plan
from hardsight.validation import check_choice

# Predictions of the same samples may differ by so much: other batches are rounded otherwise, in half precision more so.
_MAX_DIFFERENCE = 0.02
# The order of the columns is doubted if another one is right this many times as often, and in at least half of the samples.
_DOUBTFUL_RATIO = 3
_MIN_ROWS_PER_CLASS = 5


class Loop:
    r"""A training loop of your own: one function that trains a model on some samples, and one that predicts others.

    :func:`hardsight.measure` calls them once for every member of the ensemble, with the ids of its training samples and of
    those held out. How a model is built, how samples are read, augmented and batched, and on which device, is up to the
    functions; the data need not pass through hardsight: ``hs.measure(None, labels, learner=hs.Loop(train, predict))``.

    Before each member, the global random numbers of Python, numpy and torch are seeded with its seed, and restored
    afterwards. A function that also draws from generators of its own must seed them with ``seed``, or results cannot be
    repeated or resumed.

    With the first member, the held-out samples are predicted once more in reverse order. Predictions that do not follow the
    ids are refused, and a notice tells of those that differ otherwise, as by batch norm in training mode or random
    augmentation.

    Args:
        train: ``train(ids, weights, seed)`` returns a new model, anything that ``predict`` understands, trained on the
            samples with these ids and no others. ``ids``: array ``(sample,)``, as in the result, by default 0, 1, 2, ….
            ``weights``: float32 ``(sample,)``, in the order of ``ids``, with mean 1; how much each sample counts in the
            loss. All are 1 unless ``weights`` are passed or labels look wrong (``refine``). ``seed``: an integer below
            2³². ``train(ids, seed)`` does without weights; then there is no second round.
        predict: ``predict(model, ids)`` returns one row for each id, in their order: an array or tensor
            ``(sample, class)``, or a list or generator of such batches. The samples are held out: no augmentation, no
            dropout. In regression, and if ``task="loss"``, one number per id: the predicted target, or the sample's loss.
            With ``parts``, a list of arrays, one per id, or a dict by id: the losses of its parts.
        outputs: what ``predict`` returns: "logits", "log-probabilities", "probabilities"; of two classes also one column,
            for the second. "auto": logits or log-probabilities if a number lies outside 0 … 1, probabilities if the rows
            sum to one; anything else is an error.
        classes: the labels in the order of the columns of ``predict``, also those without a sample. None: sorted; if they
            are integers and there are more columns, column k is that of the label k.
        name: for tables and reports; by default the name of ``train``.

    Raises:
        InputError: a function with other parameters, or an unknown kind of outputs.

    >>> import numpy as np
    >>> y = np.arange(40) % 2
    >>> X = np.random.default_rng(0).normal(y[:, None], 0.5, (40, 3))
    >>> def train(ids, weights, seed):
    ...     return [np.average(X[ids][y[ids] == k], axis=0, weights=weights[y[ids] == k]) for k in range(2)]
    >>> def predict(means, ids):
    ...     return -np.stack([((X[ids] - mean) ** 2).sum(1) for mean in means], 1)
    >>> from hardsight import measure
    >>> d = measure(None, y, learner=Loop(train, predict), repeats=2)
    >>> bool((d.error < 0.7).mean() > 0.9)
    True
    """

    def __init__(
        self,
        train: Callable[..., Any],
        predict: Callable[..., Any],
        *,
        outputs: str = "auto",
        classes: Sequence[Any] | None = None,
        name: str | None = None,
    ) -> None:
        self._train, takes_weights = bind_train(train)
        self._predict = check_predict(predict)
        self.outputs = check_choice("outputs", outputs, OUTPUTS)
        if classes is not None and (isinstance(classes, str | Mapping | Set) or not hasattr(classes, "__iter__")):
            fix = (
                ": pass sorted(classes, key=classes.get) if its values are the columns"
                if isinstance(classes, Mapping)
                else ""
            )
            raise InputError(f"classes must be a list of labels, in the order of the columns. Got {classes!r}{fix}")
        self.classes = None if classes is None else list(classes)
        self.name = name or f"loop {function_name(train)}"
        # Of the code as it is now: what the functions change while they run is not part of it.
        self._recipe = f"{function_name(train)} and {function_name(predict)}, code {code_digest(train, predict)}"
        self.capabilities = Capabilities(
            takes_weights=takes_weights,
            divisible=True,
            expensive=True,
            predicts_in_sample=True,
            reads_ids=True,
            loss_name="own",
        )

    def describe(self) -> str:
        """Return the recipe in one line, with a digest of the functions' code."""
        order = "" if self.classes is None else f", columns {', '.join(map(str, self.classes))}"
        return f"{self.name}: {self._recipe}{order}"

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        outputs = None
        if samples.classes is not None:
            outputs = ClassOutputs(samples.classes, self.classes, self.outputs, "predict")
        previous = _Parameters(None)
        # Of labels, each part has its own row; of losses, the loop returns those of all parts of a sample.
        parts = PartRows(samples.parts) if samples.loss_only and samples.parts is not None else None
        for member in plan.members():
            run = _MemberRun(self._train, self._predict, self.name, samples, member, outputs, parts)
            # The random state is restored before predictions are yielded: the caller may draw numbers meanwhile.
            predictions, previous = run.fit_predict(previous, in_sample=plan.in_sample)
            yield from predictions
            if torch.cuda.is_available():
                # Models may refer to themselves, and GPU memory does not trigger Python's garbage collection.
                gc.collect()
            on_progress(1)


class _MemberRun:
    """Trains one member and predicts with it."""

    def __init__(
        self,
        train: Any,
        predict: Any,
        name: str,
        samples: Samples,
        member: Member,
        outputs: ClassOutputs | None,
        parts: PartRows | None,
    ) -> None:
        self.train, self.predict, self.name, self.samples = train, predict, name, samples
        self.member, self.outputs, self.parts = member, outputs, parts
        self.is_first = (member.round, member.fold) == (0, 0)
        self.where = f"member {member.fold} of round {member.round}"

    def fit_predict(self, previous: "_Parameters", *, in_sample: bool) -> tuple[list[Predictions], "_Parameters"]:
        """Return the predictions, and the parameters of the model, which the next member must not train further."""
        member = self.member
        with seed_global_numbers(member.seed):
            model = self._call("train", self.train, self._ids(member.train), self._weights(), member.seed)
            previous.check_unchanged(model)
            held_out = self._predictions(model, member.held_out)
            values = [(member.held_out, held_out, False)]
            if in_sample:
                values.append((member.train, self._predictions(model, member.train), True))
            if self.is_first:
                self._check_first(model, held_out)
        predictions = [Predictions(torch.from_numpy(rows), value, member.round, part) for rows, value, part in values]
        return predictions, _Parameters(model)

    def _ids(self, rows: np.ndarray) -> np.ndarray:
        """Return the ids of samples; those of whole samples if rows are parts of which the loop returns the losses."""
        return self.samples.ids[rows] if self.parts is None else self.parts.samples_of(rows)

    def _weights(self) -> np.ndarray:
        rows, weights = self.member.train, self.samples.weights
        rows = rows if self.parts is None else self.parts.first_rows(rows)
        if weights is None:
            return np.ones(len(rows), dtype=np.float32)
        return mean_one(weights[rows], self.where).astype(np.float32)

    def _predictions(self, model: Any, rows: np.ndarray) -> Tensor:
        """Return log-probabilities, targets or losses of some samples."""
        returned = self._call("predict", self.predict, model, self._ids(rows))
        if self.parts is not None:
            return self.parts.read(returned, rows, "predict")
        array = read_array(returned, len(rows), "predict")
        if self.outputs is not None:
            if self.is_first:
                self.outputs.check_single_column(array)
            return self.outputs.log_probabilities(array, len(self.member.train))
        return read_values(array, "predict", "its loss" if self.samples.loss_only else "the predicted target")

    def _call(self, role: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            result = function(*arguments)
            return list(result) if inspect.isgenerator(result) else result
        except HardsightError:
            raise
        except Exception as error:  # a loop of the user may raise anything
            place = _own_frame(error)
            raise LearnerError(
                f"{role} of {self.name} failed on {self.where}: {type(error).__name__}: {first_line(error)} "
                f"({place.filename}, line {place.lineno})"
            ) from error

    def _check_first(self, model: Any, values: Tensor) -> None:
        rows = self.member.held_out
        again = self._predictions(model, rows[::-1]).flip(0)
        _check_order(_comparable(values, self.outputs), _comparable(again, self.outputs))
        if self.outputs is not None and not self.outputs.order_is_known and self.samples.labels[rows].any():
            _check_columns(values, torch.from_numpy(self.samples.labels[rows]), self.outputs)


class _Parameters:
    """The parameters of a module after its training, which are not kept alive; none of anything else."""

    def __init__(self, model: Any) -> None:
        parameters = model.parameters() if isinstance(model, torch.nn.Module) else ()
        # torch counts the changes of a tensor in place.
        self._versions = [(weakref.ref(parameter), parameter._version) for parameter in parameters]

    def check_unchanged(self, model: Any) -> None:
        """Check that the next module has none of these parameters, or has left them as they were.

        Raises:
            InputError: a parameter was trained further.
        """
        if not self._versions or not isinstance(model, torch.nn.Module):
            return
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for reference, version in self._versions:
            parameter = reference()
            if parameter is not None and id(parameter) in names and parameter._version != version:
                raise InputError(
                    f"train changes the parameter {names[id(parameter)]!r} of the module before, which may have learned "
                    "what is predicted now: build or copy all parts of the module in train (copy.deepcopy)"
                )


def _own_frame(error: Exception) -> traceback.FrameSummary:
    """Return the last line of code that ran outside of installed packages; of any if there is none."""
    frames = traceback.extract_tb(error.__traceback__)[1:] or traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if "site-packages" not in frame.filename), frames[-1])


def _comparable(values: Tensor, outputs: ClassOutputs | None) -> Tensor:
    """Return predictions on a scale of about one, ``(row, value)``."""
    if outputs is not None:
        return values.softmax(1)
    largest = values.abs().max()
    # Where all are nearly the same, rounding must not count.
    scale = torch.maximum(values.std(), largest / 1000) if len(values) > 1 else largest
    return (values / scale.clamp(min=1e-12))[:, None]


def _check_order(values: Tensor, again: Tensor) -> None:
    """Compare predictions with those of the same samples, asked for in reverse order.

    Raises:
        InputError: they follow another order than that of the ids.
    """
    if _equal(values, again):
        return
    same_rows = _equal(values, again.flip(0)) or _equal(_sorted_rows(values), _sorted_rows(again))
    if same_rows:
        raise InputError(
            "predict must return its rows in the order of the ids, and does not if the ids are reversed: do not shuffle "
            "(DataLoader(shuffle=False)), and select samples by id, not by a mask"
        )
    warnings.warn(
        "predict returns something else for the same samples when it is asked again, in reverse order: call model.eval(), "
        "and do not augment samples that are predicted.",
        HardsightWarning,
        stacklevel=2,
    )


def _equal(values: Tensor, again: Tensor) -> bool:
    return bool(((values - again).abs() <= _MAX_DIFFERENCE).all())


def _sorted_rows(values: Tensor) -> Tensor:
    order = np.lexsort(values.round(decimals=6).numpy().T)
    return values[torch.from_numpy(order)]


def _check_columns(values: Tensor, labels: Tensor, outputs: ClassOutputs) -> None:
    """Say which column is taken for which class, unless the predictions or sorted numbers leave no doubt.

    Raises:
        InputError: another order of the columns fits the labels far better.
    """
    classes = outputs.classes
    count = torch.zeros(len(classes), len(classes))
    count.index_put_((labels, values.argmax(1)), torch.ones(len(labels)), accumulate=True)
    right = int(count.diagonal().sum())
    rows, columns = linear_sum_assignment(count.numpy(), maximize=True)
    best = int(count[rows, columns].sum())
    names = f"{', '.join(repr(label) for label in classes[:8])}{', …' if len(classes) > 8 else ''}"
    if len(labels) < _MIN_ROWS_PER_CLASS * len(classes) or 2 * best <= len(labels):
        pass
    elif right == best:
        return
    elif best > _DOUBTFUL_RATIO * right:
        raise InputError(
            f"the columns of predict seem to be in another order than the sorted classes ({names}): name them in the order "
            "of the columns, hs.Loop(…, classes=…)"
        )
    if outputs.classes_are_numbers:
        return
    warnings.warn(
        f"The columns of predict are taken for the classes in sorted order ({names}); for another order, pass "
        "hs.Loop(…, classes=…).",
        HardsightWarning,
        stacklevel=2,
    )
