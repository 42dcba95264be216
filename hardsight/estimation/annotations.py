"""``hs.measure_annotations``: several annotators and held-out models, one posterior of the true labels.

Models are trained on the consensus: first that of the annotators alone, then, if held-out models change more than 1 % of it,
once more on the corrected one. Their predictions of an item never come from its own labels, so they are not one annotator
more who copies the others.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from hardsight.attribution.annotators import AnnotatorModel, Incidence, fit_annotators
from hardsight.data import Samples
from hardsight.data.annotations import Annotations
from hardsight.data.columns import check_column_name, to_names
from hardsight.data.conversion import object_array, to_pandas
from hardsight.data.from_frames import ids_from_index
from hardsight.difficulty.annotation_result import AnnotationResult
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.estimation.measure import measure
from hardsight.validation import join_examples

# Share of changed consensus labels from which models are trained again.
_MIN_CHANGED = 0.01
# Share of an even spread that is mixed into predictions: a sure model is not taken at its word.
_EVEN_SHARE = 0.01
# Arguments of hs.measure that the annotations replace.
_REPLACED = ("y", "label", "task", "record", "weights")


def measure_annotations(
    X: Any, annotations: Annotations, *, ids: Any = None, retrain: bool | None = None, **arguments: Any
) -> AnnotationResult:
    """Infer the true labels of items from several annotators' labels and from models that never saw them.

    The model is described in :mod:`hardsight.attribution.annotators`.

    Args:
        X: the features of the items, as for :func:`hardsight.measure`; None: annotators alone, and nothing is trained. Rows
            are matched to items by ids, in any order. Rows without annotations are left out, or predicted with
            ``unlabelled="predict"``.
        annotations: made by ``hs.Annotations.of``.
        ids: the items of the rows of ``X``, ``(sample,)``, or the name of their column; by default the index of a frame if
            it holds unique integers or text, or else 0, 1, 2, ….
        retrain: whether models are trained once more, on the consensus that they corrected. None: if more than 1 % of it
            changed.
        **arguments: those of :func:`hardsight.measure`, such as ``learner``, ``folds``, ``groups`` or ``seed``. Labels come
            from the annotations: ``y``, ``label``, ``task``, ``record`` and ``weights`` are refused, and so are losses other
            than log-loss, and a checkpoint.

    Raises:
        InputError: arguments that cannot be used, or no row of ``X`` belongs to an item.
        LearnerError: a model failed.

    >>> from hardsight.data.annotations import Annotations
    >>> votes = [["a", "a", "b"], ["a", "a", "a"], ["b", "b", "b"], ["b", "a", "b"]]
    >>> result = measure_annotations(None, Annotations.of(votes))
    >>> result.consensus["consensus"].tolist()
    ['a', 'a', 'b', 'b']
    """
    if not isinstance(annotations, Annotations):
        raise InputError(
            f"annotations must be hs.Annotations. Got {type(annotations).__name__}: pass hs.Annotations.of(table, …)"
        )
    _check_arguments(arguments)
    incidence = Incidence.of(
        annotations.item, annotations.annotator, annotations.label, len(annotations.items), len(annotations.classes)
    )
    model = fit_annotators(incidence)
    if X is None:
        if arguments or ids is not None:
            named = join_examples([*arguments, *(["ids"] if ids is not None else [])], 5)
            raise InputError(f"without features nothing is trained: leave out {named}, or pass X")
        return AnnotationResult(annotations, model, notices=annotations.notices)
    rows = _ItemRows.of(X, annotations, ids)
    # Labels are refined here, by the annotators; the last run may do so once more for its own result.
    d = rows.measure(model, arguments if retrain is False else {**arguments, "refine": False})
    corrected = fit_annotators(incidence, rows.log_predicted(d))
    changed = float((corrected.posterior.argmax(1) != model.posterior.argmax(1)).mean())
    if retrain or (retrain is None and changed > _MIN_CHANGED):
        d = rows.measure(corrected, arguments)
        corrected = fit_annotators(incidence, rows.log_predicted(d))
    return AnnotationResult(annotations, corrected, d, (*annotations.notices, *rows.notices))


def _check_arguments(arguments: dict[str, Any]) -> None:
    replaced = [name for name in _REPLACED if arguments.get(name) is not None]
    if replaced:
        raise InputError(f"labels come from the annotations: leave out {join_examples(replaced, len(_REPLACED))}")
    if arguments.get("loss") not in (None, "log"):
        raise InputError(f"annotations need held-out probabilities, and so log-loss: leave out loss={arguments['loss']!r}")
    execution = arguments.get("execution")
    if getattr(execution, "checkpoint", None) is not None:
        raise InputError("several rounds are trained, and a checkpoint holds one: leave out checkpoint")


class _ItemRows:
    """The rows of the features, and which item each belongs to."""

    def __init__(self, X: Any, ids: np.ndarray, item: np.ndarray, annotations: Annotations) -> None:
        self.X, self.ids, self.annotations = X, ids, annotations
        self.item = item  # position of each row's item, -1 for none, (sample,)
        n_missing = len(annotations.items) - len(np.unique(item[item >= 0]))
        self.notices = (
            [f"Items without a row in X: {n_missing:,}. Their labels are inferred from the annotators alone."]
            if n_missing
            else []
        )

    @classmethod
    def of(cls, X: Any, annotations: Annotations, ids: Any) -> "_ItemRows":
        names, items = _row_ids(X, ids), annotations.items
        if isinstance(ids, str):
            X = to_pandas(X).drop(columns=ids)
        if names.dtype.kind != items.dtype.kind:
            # A text file does not tell numbers from names.
            names, items = names.astype(str), items.astype(str)
        if ids is None:
            _check_numbering(X, names, items)
        item = pd.Index(items).get_indexer(pd.Index(names))
        if not (item >= 0).any():
            raise InputError(
                f"no row of X belongs to an item: the ids are {join_examples(names.tolist(), 3)}, the items "
                f"{join_examples(items.tolist(), 3)}: name the column of the items in X (ids, --id)"
            )
        return cls(X, names, item, annotations)

    def measure(self, model: AnnotatorModel, arguments: dict[str, Any]) -> Difficulty:
        """Measure the items with the model's consensus as labels."""
        classes, code = self.annotations.classes, model.posterior.argmax(1)
        if isinstance(self.X, Samples):
            rows = np.flatnonzero(self.item >= 0)
            present, labels = np.unique(code[self.item[rows]], return_inverse=True)
            if len(present) < 2:
                raise InputError(f"the consensus of all items is {classes[present[0]]!r}: at least two classes are needed")
            samples = replace(
                self.X.take(rows), labels=labels.reshape(-1).astype(np.int64), classes=tuple(classes[c] for c in present)
            )
            return measure(samples, **arguments)
        y = object_array([None if item < 0 else classes[code[item]] for item in self.item.tolist()])
        return measure(self.X, y, ids=self.ids, task="classification", label="consensus", **arguments)

    def log_predicted(self, d: Difficulty) -> np.ndarray:
        """Return held-out log-probabilities of all items, ``(item, class)``; equal ones for items without features."""
        n_items, n_classes = len(self.annotations.items), len(self.annotations.classes)
        if d.consensus is None or d.classes is None:
            raise InputError("the learner gives no probabilities of classes: choose another learner")
        columns = [self.annotations.classes.index(name) for name in d.classes]
        of_id = dict(zip(self.ids.tolist(), self.item.tolist(), strict=True))
        item = np.array([of_id[each] for each in d.ids.tolist()])
        probability = np.full((n_items, n_classes), 1 / n_classes)
        predicted = np.full((len(item), n_classes), _EVEN_SHARE / n_classes)
        predicted[:, columns] += (1 - _EVEN_SHARE) * np.exp(d.consensus)
        probability[item] = predicted
        return np.asarray(np.log(probability / probability.sum(1, keepdims=True)))


def _check_numbering(X: Any, names: np.ndarray, items: np.ndarray) -> None:
    """Refuse to match items to row numbers if they may be numbered in another way, which would shuffle the features.

    Raises:
        InputError: an item beyond the rows, such as the last if items begin at 1, or a column of ``X`` that holds the items.
    """
    if not np.array_equal(names, np.arange(len(names)).astype(names.dtype)):
        return
    frame = to_pandas(X)
    for name, column in frame.items() if isinstance(frame, pd.DataFrame) else ():
        if column.dtype.kind == "i" and column.is_unique and np.isin(items, column.to_numpy().astype(items.dtype)).all():
            raise InputError(
                f"column {name!r} of X holds the items, but X has no index: pass ids={name!r}, or ids=X.index if the row "
                "numbers are the items"
            )
    beyond = items[~np.isin(items, names)]
    if 0 < len(beyond) < len(items):
        raise InputError(
            f"X has no ids, so its rows are items 0 to {len(names) - 1:,}, but {len(beyond):,} of {len(items):,} items are "
            f"others, such as {beyond[-1]}: pass the item of each row (ids, or a table with a column of items)"
        )


def _row_ids(X: Any, ids: Any) -> np.ndarray:
    """Return the ids of the rows of ``X`` as :meth:`Samples.of` would."""
    if isinstance(X, Samples):
        if ids is not None:
            raise InputError("X is Samples, which already hold ids: leave out ids")
        return X.ids
    frame = to_pandas(X)
    if isinstance(ids, str):
        if not isinstance(frame, pd.DataFrame):
            raise InputError(f"ids names the column {ids!r}, but X has no columns: pass one id per row")
        ids = frame[check_column_name(frame.columns, ids, "ids")]
    elif ids is None and isinstance(frame, pd.DataFrame | pd.Series):
        ids = ids_from_index(frame.index, [])
    n = len(frame)
    names = np.arange(n) if ids is None else to_names(ids, n, "ids")
    if len(np.unique(names)) < n:
        raise InputError("ids must be unique: every item must have one row in X")
    return names
