"""``hs.measure_losses``: difficulty from held-out losses that the user already has, of samples or of their parts."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from hardsight.attribution.ledger import HARD_ERROR
from hardsight.attribution.names import FACTORS, NO_CAUSE
from hardsight.data.columns import check_column_name, to_names
from hardsight.data.conversion import to_pandas
from hardsight.data.label_matrix import holds_several
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo
from hardsight.errors import Faults, InputError
from hardsight.estimation.assemble import LabelInfo, assemble
from hardsight.estimation.held_out_arrays import as_array, in_halves, name_rows
from hardsight.estimation.predictions import measure_predictions, read_given_features
from hardsight.io.json_values import to_json
from hardsight.learners.base import as_tensor
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss
from hardsight.validation import join_examples

_SHAPE = "(view, sample), NaN where the sample was in training"
_OWN: Loss = "own"
_MARGIN = FACTORS.index("margin")
# How far a loss may lie below its share of the class, relative to that.
_ROUNDING = 1e-3
# Arguments that only predictions of classes have a use for.
_OF_CLASSES = ("y", "outputs", "classes", "witness", "label")


class _Long(NamedTuple):
    """Losses of a long table, spread out."""

    losses: np.ndarray  # (view, row), NaN where there is none
    columns: dict[str, np.ndarray]  # ids, or samples and parts, of the rows


def measure_losses(
    losses: Any,
    ids: Any = None,
    *,
    samples: Any = None,
    parts: Any = None,
    kind: str = "part",
    predictions: Any = None,
    features: Any = None,
    **of_classes: Any,
) -> Difficulty:
    """Compute difficulty from held-out losses that you already have: of samples, or of parts such as boxes of images.

    Args:
        losses: ``(view, sample)``, the loss of each sample under a model that had not seen it; NaN where the sample was in
            training. The columns of a frame may be named by the samples. Or a long table with the columns "view", "loss" and
            either "id", or "sample" and, if wanted, "part".
            Any loss will do: higher is harder, and negative ones are allowed.
        ids: ``(sample,)``, unique; positions by default. Not with ``samples``.
        samples: the sample of each column, ``(part,)``, if losses are of parts of samples.
            :meth:`hardsight.Difficulty.by_sample` then adds them up.
        parts: the name of each part in its sample, ``(part,)``; numbers from 0 by default.
        kind: what a part is called, in the singular: "box", "mask", "segment".
        predictions: ``(view, sample, class)``, held-out predictions of the class of each sample or part, if it has one, as
            in :func:`measure_predictions`; read where there is a loss. The losses must contain the log-loss of the class.
            The ledger then tells what of the error comes from a wrong, rare or uncertain class; the rest of the loss, such
            as that of a box's place, counts as margin.
        features: ``(sample, feature)`` numbers, NaN where missing, as in :func:`measure_predictions`.
        **of_classes: ``y``, the labels of the classes, and ``outputs``, ``classes``, ``witness`` and ``label`` of
            :func:`measure_predictions`; only with ``predictions``.

    Raises:
        InputError: losses of another shape, infinite ones, a sample without any, ids that are repeated or of another
            number, or losses below the log-loss of the class; as many faults as can be told are reported at once.

    >>> d = measure_losses([[0.1, 2.0, 0.3], [0.3, 4.0, 0.1]], samples=["cat.jpg", "dog.jpg", "dog.jpg"], kind="box")
    >>> d.hardest(1).index.tolist(), d.by_sample()["error"].round(2).tolist()
    (['dog.jpg/0'], [3.2, 0.2])
    """
    _check_arguments(of_classes, predictions)
    long = _read_long(losses)
    if long is not None:
        if any(value is not None for value in (ids, samples, parts)):
            raise InputError("a table of losses names its samples itself: leave out ids, samples and parts")
        losses, named = long
        ids, samples, parts = (named.get(name) for name in ("ids", "samples", "parts"))
    elif ids is None and samples is None:
        ids = _read_column_names(losses)
    array = as_array("losses", losses, _SHAPE, np.float64)
    if array.ndim != 2 or not array.size:
        hint = ": put the axis of views first, losses[None]" if array.ndim == 1 and array.size else ""
        raise InputError(f"losses must have shape {_SHAPE}. Got {array.shape}{hint}")
    faults = Faults()
    names, labelled_parts = np.arange(array.shape[1]), None
    with faults.collect():
        names, labelled_parts = name_rows(array.shape[1], ids, samples, parts, kind)
    _check_losses(array, names, kind if labelled_parts is not None else "sample", faults)
    faults.raise_all()
    held_out = ~np.isnan(array)
    views, n = as_tensor(array), len(names)
    rows = [torch.from_numpy(np.flatnonzero(view)) for view in held_out]
    no_labels = torch.full((n,), torch.nan, dtype=torch.float64)
    code = None if labelled_parts is None else labelled_parts.codes
    part_of = None if code is None else torch.from_numpy(code)
    moments = HeldOut.from_views(no_labels, None, in_halves(views, rows), loss_only=True, part_of=part_of)
    run = RunInfo(
        loss=_OWN,
        learner="losses as given",
        recipe="trained elsewhere",
        reason="losses as given",
        splits="as given",
        n_models=len(array),
        reliability=to_json(moments.reliability(_OWN)),
        part_name=None if labelled_parts is None else kind,
        notices=_notices(array, code, kind),
        task="loss",
    )
    info = LabelInfo()
    if predictions is None and features is not None:
        info = read_given_features(features, None, n, code)
    d = assemble(moments, run, names, None, loss=_OWN, labels=info, labelled_parts=labelled_parts)
    if predictions is None:
        return d
    _check_shape(predictions, array.shape)
    of_classes |= {"held_out": held_out, "features": features, "kind": kind}
    of_classes |= (
        {"ids": names} if labelled_parts is None else {"samples": labelled_parts.sample, "parts": labelled_parts.name}
    )
    return _with_ledger(d, measure_predictions(predictions, **of_classes))


def _check_arguments(of_classes: dict[str, Any], predictions: Any) -> None:
    unknown = [name for name in of_classes if name not in _OF_CLASSES]
    if unknown:
        raise InputError(f"measure_losses has no argument {unknown[0]!r}")
    if predictions is None and of_classes:
        raise InputError(f"{', '.join(of_classes)} go with predictions of classes: pass predictions=… or leave them out")
    if predictions is not None and of_classes.get("y") is None:
        raise InputError("y is missing: pass the class label of every row with predictions")
    if predictions is not None and holds_several(of_classes["y"]):
        raise InputError(
            "y holds several labels per row, and losses go with one class per row: pass predictions of several labels "
            "to hs.measure_predictions"
        )


def _check_shape(predictions: Any, shape: tuple[int, ...]) -> None:
    try:
        got = len(predictions), len(predictions[0])
    except (TypeError, LookupError):
        return  # what is wrong with them is said where they are read
    if got != shape:
        raise InputError(
            f"predictions must have shape ({shape[0]}, {shape[1]}, class), one row per loss. Got {got[0]} views of {got[1]} "
            "rows"
        )


def _read_long(losses: Any) -> _Long | None:
    """Return a long table of losses as an array; None if they are no table, or a matrix of numbers without a column "loss".

    Raises:
        InputError: columns are missing, or a sample has two losses in one view.
    """
    table = to_pandas(losses)
    if not isinstance(table, pd.DataFrame):
        return None
    is_matrix = all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in table.dtypes)
    if "loss" not in table.columns and is_matrix:
        return None
    for name in ("loss", "view", "id" if "sample" not in table.columns else "sample"):
        check_column_name(table.columns, name, "losses")
    by_part = "sample" in table.columns
    keys = ["sample", *(["part"] if "part" in table.columns else [])] if by_part else ["id"]
    names = {key: to_names(table[key], len(table), f"column {key!r}") for key in keys}
    values = as_array("column 'loss'", table["loss"], "(row,)", np.float64)
    view = pd.factorize(table["view"])[0]
    if (view < 0).any():
        raise InputError("column 'view' must name the view of every loss: some are missing")
    if by_part and "part" not in table.columns:
        names["part"] = _number_parts(view, names["sample"])
    # In the order of their first appearance.
    row = pd.DataFrame(names).groupby(list(names), sort=False).ngroup().to_numpy()
    repeated = pd.DataFrame({"view": view, "row": row}).duplicated().to_numpy()
    if repeated.any():
        examples = ["/".join(str(column[i]) for column in names.values()) for i in np.flatnonzero(repeated)[:3]]
        raise InputError(f"a view must have one loss per sample. Repeated: {join_examples(examples, 3)}")
    spread = np.full((view.max() + 1, row.max() + 1), np.nan)
    spread[view, row] = values
    first = np.unique(row, return_index=True)[1]
    argument = {"id": "ids", "sample": "samples", "part": "parts"}
    return _Long(spread, {argument[name]: column[first] for name, column in names.items()})


def _read_column_names(losses: Any) -> Any:
    """Return the ids of samples that name the columns of a frame ``(view, sample)``; None if there is none, or no names.

    Raises:
        InputError: the rows of a frame have names and its columns none, as if samples were its rows.
    """
    table = to_pandas(losses)
    if not isinstance(table, pd.DataFrame):
        return None
    if not table.columns.equals(pd.RangeIndex(len(table.columns))):
        return table.columns
    if table.index.dtype.kind not in "iu" and len(table) > 1:
        raise InputError(
            f"losses must have one row per view and one column per sample, and this frame names its rows, such as "
            f"{table.index[0]!r}: pass losses.T if samples are its rows"
        )
    return None


def _number_parts(view: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Number the losses of each sample within each view in their order, ``(row,)``.

    Raises:
        InputError: a sample has more losses in one view than in another, so that these cannot be matched by their order.
    """
    by_view = pd.DataFrame({"view": view, "sample": sample}).groupby(["view", "sample"], sort=False)
    sizes = by_view.size().groupby("sample").agg(["min", "max"])
    unequal = sizes[sizes["min"] < sizes["max"]]
    if len(unequal):
        least, most = unequal.iloc[0]
        raise InputError(
            f"column 'part' is missing, and {unequal.index.tolist()[0]!r} has {least:,} losses in one view and {most:,} in "
            "another: name the part of every loss"
        )
    return by_view.cumcount().to_numpy()


def _check_losses(losses: np.ndarray, names: np.ndarray, kind: str, faults: Faults) -> None:
    """Collect what is wrong with losses."""
    missing = np.isnan(losses)
    never = np.flatnonzero(missing.all(axis=0))
    if len(never):
        faults.messages.append(
            f"losses must hold one number at least per {kind}. {len(never):,} have none, such as "
            f"{join_examples(names[never].tolist(), 3)}: leave them out"
        )
    empty = np.flatnonzero(missing.all(axis=1))
    if len(empty):
        faults.messages.append(f"every view must hold a loss. View {empty[0]} has none: leave it out")
    infinite = np.isinf(losses)
    if infinite.any():
        view, row = (int(axis) for axis in np.argwhere(infinite)[0])
        faults.messages.append(
            f"losses must be finite. {int(infinite.sum()):,} are not, the first in view {view}, {kind} "
            f"{names[row].item()!r}: bound the loss, or leave it out with NaN"
        )


def _notices(losses: np.ndarray, sample: np.ndarray | None, kind: str) -> tuple[str, ...]:
    held_out = ~np.isnan(losses)
    count = held_out.sum(axis=0)
    notices = []
    if (count < 2).all():
        notices.append("Every loss is of a single view: there are no standard errors, and no reliability of the ranking.")
    elif (count < 2).any():
        notices.append(f"{int((count < 2).sum()):,} of {len(count):,} have a single view, and no standard error.")
    if (losses < 0).any():
        notices.append("Some losses are negative: errors rank the samples, but shares of the total error mean little.")
    if sample is not None:
        sizes = np.bincount(sample)
        n_held_out = np.stack([np.bincount(sample[view], minlength=len(sizes)) for view in held_out])
        split = ((n_held_out > 0) & (n_held_out < sizes)).any(axis=0)
        if split.any():
            notices.append(
                f"In {int(split.sum()):,} of {len(sizes):,} samples some views hold the loss of one {kind} but not of "
                f"another. If models were trained on the other {kind}, the losses are too low: hold out whole samples."
            )
    return tuple(notices)


def _with_ledger(d: Difficulty, of_class: Difficulty) -> Difficulty:
    """Return the result for the losses with what the predictions of classes tell; the rest of the loss counts as margin.

    Raises:
        InputError: losses that do not contain the log-loss of the class.
    """
    rest = d.error - of_class.error
    below = rest < -_ROUNDING * np.maximum(of_class.error, 1)
    if below.any():
        row = int(np.argmin(rest))
        raise InputError(
            "with predictions, losses must contain the log-loss of the class. "
            f"{int(below.sum()):,} are lower, such as {d.error[row]:.3g} of {d.ids[row].item()!r}, whose class alone has "
            f"{of_class.error[row]:.3g}: add -log p(label) to the loss, or leave out predictions"
        )
    run = replace(
        of_class.run,
        loss=_OWN,
        learner=d.run.learner,
        n_models=d.run.n_models,
        reliability=d.run.reliability,
        notices=(*d.run.notices, *of_class.run.notices),
    )
    fields: dict[str, Any] = {"hardness": None}
    if of_class.ledger is not None and of_class.cause is not None:
        terms = of_class.ledger.copy()
        terms[:, _MARGIN] += rest
        fields |= {"ledger": terms, "cause": _causes(of_class.cause, terms, d.error)}
    bias = d.error - of_class.variance
    return replace(
        of_class, error=d.error, error_se=d.error_se, bias=bias, run=run, sample_error_se=d.sample_error_se, **fields
    )


def _causes(of_class: np.ndarray, terms: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the causes of whole losses from those of the class: the largest term decides again where it did before.

    Args:
        of_class: causes of the error of the class, ``(row,)``.
        terms: the ledger of the whole loss, ``(row, factor)``.
        error: the whole loss, ``(row,)``.
    """
    by_size = np.isin(of_class, (*FACTORS[1:], NO_CAUSE))
    largest = np.array(FACTORS)[terms[:, 1:].argmax(1) + 1]
    return np.where(by_size, np.where(error > HARD_ERROR, largest, NO_CAUSE), of_class)
