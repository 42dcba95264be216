"""The result: every sample's difficulty with its parts, as a table that saves, loads and shows itself."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hardsight.difficulty import file as stored
from hardsight.difficulty.actions import advise
from hardsight.difficulty.file import FACTORS as FACTORS
from hardsight.difficulty.file import OPTIONAL, PARTS
from hardsight.difficulty.file import SCHEMA as SCHEMA
from hardsight.errors import InputError
from hardsight.io.atomic import atomic, path_of
from hardsight.validation import check_int

if TYPE_CHECKING:
    from hardsight.data import Samples
    from hardsight.difficulty.decisions import Curated
    from hardsight.reporting.plot import Plots

# Samples that are encoded at a time when a result is written, so that this takes little memory beside it.
_ROW_GROUP = 2**16


class Difficulty:
    """Every sample's generalization error, what it is made of, and how sure it is. Higher is harder.

    Attributes:
        error: mean held-out loss, ``(sample,)`` float64; nats for log-loss, squared units for Brier and regression.
        error_se: its standard error over views, ``(sample,)``; NaN where a sample was judged once.
        bias, variance: ``error = bias + variance`` exactly, ``(sample,)``; see
            :mod:`hardsight.measures.bias_variance`. NaN where
            ``loss_only``.
        count: held-out views of each sample, ``(sample,)`` int64.
        consensus: log-probabilities of the dual mean prediction, ``(sample, class)``; None in regression.
        labels: label as given: codes into ``classes``, or targets in regression; NaN where ``loss_only``. ``(sample,)``
        predicted: the consensus' class code, or the mean prediction; NaN where ``loss_only``. ``(sample,)``
        ids: ``(sample,)`` int64 or str.
        classes: what the codes stand for; None in regression, and where ``loss_only``.
        factors: the ledger, a DataFrame by id with columns noise, imbalance, margin, uncertainty whose row sums equal
            the log-loss error; None where there is none (regression, other losses, a single view).
        p_wrong: posterior probability that the given label is wrong, ``(sample,)``; None where ``factors`` is None.
        suggested: the likeliest true label, as a code into ``classes``, ``(sample,)`` int64; None likewise.
        p_suggested: posterior probability that it is the true one, ``(sample,)``; None likewise.
        cause: the factor that explains most of a hard sample, "none" for easy ones, ``(sample,)``; None likewise.
        noise_variance: that of the targets about the consensus among samples of like prediction, ``(sample,)``; None but in
            regression; see :mod:`hardsight.attribution.regression_noise`.
        p_outlier: posterior probability that the target is farther off than noise, ``(sample,)``; None likewise.
        hardness: one score of all that may make a sample hard, ``(sample,)``; None where ``factors`` is None; see
            :mod:`hardsight.attribution.hardness`.
        adjusted: a second estimate of the error that leans on the models' in-sample losses, ``(sample,)``; None where
            there is none, or where a check says that it ranks no better; see :mod:`hardsight.measures.control_variate`.
        settings: what was run: loss, learner, splits, seed, members, notices and more; JSON types only.
        samples: the measured samples while they are at hand (never saved), for reports that show them.
    """

    def __init__(
        self,
        *,
        error: np.ndarray,
        error_se: np.ndarray,
        bias: np.ndarray,
        variance: np.ndarray,
        count: np.ndarray,
        labels: np.ndarray,
        predicted: np.ndarray,
        ids: np.ndarray,
        classes: tuple[Any, ...] | None,
        consensus: np.ndarray | None,
        ledger: np.ndarray | None,
        p_wrong: np.ndarray | None,
        cause: np.ndarray | None,
        settings: dict[str, Any],
        samples: "Samples | None" = None,
        hardness: np.ndarray | None = None,
        adjusted: np.ndarray | None = None,
        suggested: np.ndarray | None = None,
        p_suggested: np.ndarray | None = None,
        noise_variance: np.ndarray | None = None,
        p_outlier: np.ndarray | None = None,
    ) -> None:
        self.error, self.error_se, self.bias, self.variance = error, error_se, bias, variance
        self.count, self.labels, self.predicted, self.ids = count, labels, predicted, ids
        self.classes, self.consensus, self.p_wrong, self.cause = classes, consensus, p_wrong, cause
        self.settings, self.samples, self.hardness, self.adjusted = settings, samples, hardness, adjusted
        self.suggested, self.p_suggested = suggested, p_suggested
        self.noise_variance, self.p_outlier = noise_variance, p_outlier
        self.factors = (
            None if ledger is None else pd.DataFrame(ledger, columns=list(FACTORS), index=pd.Index(ids, name="id"))
        )

    def __len__(self) -> int:
        return len(self.error)

    @property
    def regression(self) -> bool:
        """Whether the labels are numbers to predict."""
        return self.classes is None and not self.loss_only

    @property
    def loss_only(self) -> bool:
        """Whether the models gave a loss of each sample and no predictions.

        There is the error then, with its standard error and the reliability of its ranking, and nothing else: no bias, no
        variance, no ledger, no label that might be wrong.
        """
        return self.settings.get("task") == "loss"

    @property
    def p_label(self) -> np.ndarray:
        """The consensus' probability of the given label, ``(sample,)``; NaN in regression."""
        if self.consensus is None:
            return np.full(len(self), np.nan)
        own: np.ndarray = np.exp(self.consensus[np.arange(len(self)), self.labels])
        return own

    @property
    def todo(self) -> np.ndarray | None:
        """What to do about every sample, ``(sample,)`` str, one of ``hardsight.difficulty.actions.ACTIONS``; None
        without a ledger.
        """
        if self.cause is None or self.p_wrong is None:
            return None
        return advise(self.cause, self.p_wrong, self.labels, self.suggested)

    @property
    def noise_sd(self) -> float | None:
        """Root of the mean noise variance, in the units of the target; None but in regression."""
        return None if self.noise_variance is None else float(np.sqrt(self.noise_variance.mean()))

    @property
    def transition(self) -> pd.DataFrame | None:
        """Estimated P(given label | true label), a row for every true class; None without a ledger.

        It is of all samples that were measured together, also where this result holds a selection of them.
        """
        matrix = self.settings.get("transition")
        if matrix is None or self.classes is None:
            return None
        # As objects: pandas' own string type refuses what is not valid Unicode.
        named = pd.Index(list(self.classes), dtype=object)
        return pd.DataFrame(matrix, index=named.rename("true"), columns=named.rename("given"))

    @property
    def noise_rates(self) -> pd.DataFrame | None:
        """How noisy the labels of each class are; None without a ledger. By class, with columns

        - ``given``: how many samples have this label,
        - ``true_share``: estimated share of the class among the true labels of all samples measured,
        - ``wrong``: share of wrong labels to expect among those samples, NaN where there is none,
        - ``mislabelled``: share of the class's true samples that were given another label.
        """
        transition = self.transition
        if transition is None or self.p_wrong is None:
            return None
        given = np.bincount(self.labels, minlength=len(transition))
        expected = np.bincount(self.labels, weights=self.p_wrong, minlength=len(transition))
        columns = {
            "given": given,
            "true_share": self.settings.get("class_shares", np.nan),
            "wrong": np.where(given > 0, expected / np.maximum(given, 1), np.nan),
            "mislabelled": 1 - np.diag(transition.to_numpy()),
        }
        return pd.DataFrame(columns, index=transition.index.rename("class"))

    def names(self, codes: np.ndarray) -> np.ndarray:
        """The labels that class codes stand for; targets stay as they are."""
        if self.classes is None:
            return codes
        named: np.ndarray = np.array(self.classes, dtype=_name_type(self.classes))[codes]
        return named

    @property
    def table(self) -> pd.DataFrame:
        """One row a sample, by id, in the order given: label, prediction, error and its parts, as far as known."""
        if self.loss_only:
            only = {"error": self.error, "error_se": self.error_se, "views": self.count}
            return pd.DataFrame(only, index=pd.Index(self.ids, name="id"))
        columns: dict[str, Any] = {"label": self.names(self.labels), "predicted": self.names(self.predicted)}
        if not self.regression:
            columns["p_label"] = self.p_label
        columns |= {part: getattr(self, part) for part in PARTS}
        if self.hardness is not None:
            columns["hardness"] = self.hardness
        if self.adjusted is not None:
            columns["adjusted"] = self.adjusted
        if self.factors is not None:
            columns |= {name: self.factors[name].to_numpy() for name in FACTORS}
            columns["p_wrong"] = self.p_wrong
            if self.suggested is not None:
                columns |= {"suggested": self.names(self.suggested), "p_suggested": self.p_suggested}
            columns |= {"cause": self.cause, "todo": self.todo}
        if self.noise_variance is not None:
            columns |= {"noise_variance": self.noise_variance, "p_outlier": self.p_outlier}
        return pd.DataFrame(columns | {"views": self.count}, index=pd.Index(self.ids, name="id"))

    def hardest(self, n: int = 10) -> pd.DataFrame:
        """The ``n`` samples of largest error, hardest first (ties in the order given).

        Raises:
            InputError: ``n`` is no whole number, or negative.
        """
        return self.table.iloc[self.order[: check_int("n", n, 0)]]

    @property
    def order(self) -> np.ndarray:
        """Positions from hardest to easiest, ``(sample,)`` int64; ties keep the order given."""
        return np.argsort(-self.error, kind="stable")

    def select(self, rows: Any) -> "Difficulty":
        """The same result for some samples only.

        Args:
            rows: a boolean mask ``(sample,)``, or a sequence of ids in the order wanted. A mask that is a Series, of
                :attr:`table` or :meth:`hardest`, say, is taken by id.

        Raises:
            InputError: a mask of another length or about other ids, an id that is not there, or neither a mask nor ids.
        """
        wanted = np.asarray(rows)
        if wanted.dtype == bool:
            if wanted.shape != (len(self),):
                raise InputError(f"the mask must have shape ({len(self)},), one value a sample. Got {wanted.shape}")
            at = np.flatnonzero(self._in_order(rows) if isinstance(rows, pd.Series) else wanted)
        else:
            if wanted.ndim != 1:
                raise InputError(
                    f"rows must be a mask or a sequence of ids. Got {type(rows).__name__}: give one of them"
                )
            at = pd.Index(self.ids).get_indexer(wanted)
            if (at < 0).any():
                missing, example = wanted[at < 0].tolist()[0], self.ids[:1].tolist()
                raise InputError(f"no sample has the id {missing!r}: ids look like {example}")
        parts: dict[str, Any] = {
            name: getattr(self, name)[at] for name in (*PARTS, "count", "labels", "predicted", "ids")
        }
        for name in ("consensus", "p_wrong", "cause", *OPTIONAL):
            whole = getattr(self, name)
            parts[name] = None if whole is None else whole[at]
        return type(self)(
            **parts,
            ledger=None if self.factors is None else self.factors.to_numpy()[at],
            classes=self.classes,
            settings=self.settings,
            samples=None if self.samples is None else self.samples.take(at),
        )

    def _in_order(self, mask: pd.Series) -> np.ndarray:
        """A mask of all samples in their order, ``(sample,)`` bool: found by id, or so already where it is only numbered."""
        at = mask.index.get_indexer(pd.Index(self.ids)) if mask.index.is_unique else np.full(len(self), -1)
        ordered: np.ndarray = mask.to_numpy()
        if not (at < 0).any():
            ordered = ordered[at]
        elif not mask.index.equals(pd.RangeIndex(len(self))):
            raise InputError(
                f"the mask is indexed by other ids than the {len(self):,} samples (it has not each of theirs once): index "
                "it by id, or give an array in the order of the samples"
            )
        return ordered

    def apply(self, decisions: Any) -> "Curated":
        """What to train on after a review: labels after relabelling, and which samples stay.

        Args:
            decisions: path of the csv that the review page exports, or a DataFrame with its columns ``id``, ``action``
                (keep, relabel, drop or unsure) and ``label``. Samples without a row stay as they are.

        Raises:
            InputError: an id that was not measured or stands twice, an unknown action or class, a file that is no such csv.
        """
        from hardsight.difficulty.decisions import DROP, Curated, fitted

        found = fitted(decisions, self.ids, self.labels, self.classes, labelled=not self.loss_only)
        labels, keep = self.labels.copy(), np.ones(len(self), dtype=bool)
        actions = np.full(len(self), "", dtype="U7")
        labels[found.at], actions[found.at] = found.labels, found.actions
        keep[found.at] = found.actions != DROP
        return Curated(self.ids, self.names(labels), keep, actions)

    def save(self, path: str | Path) -> None:
        """Write everything but the samples themselves to a parquet file, all or nothing.

        Args:
            path: where to; a name that ends in .parquet.

        Raises:
            InputError: the path has another ending, or cannot be written.
        """
        if path_of(path).suffix.lower() != ".parquet":
            raise InputError(f"a result is a parquet file, and {path} is named otherwise: end the name in .parquet")
        columns = {"id": pa.array(self.ids), "label": pa.array(self.labels), "predicted": pa.array(self.predicted)}
        columns |= {part: pa.array(getattr(self, part)) for part in PARTS}
        columns |= {name: pa.array(getattr(self, name)) for name in OPTIONAL if getattr(self, name) is not None}
        columns["views"] = pa.array(self.count)
        if self.factors is not None:
            columns |= {name: pa.array(self.factors[name].to_numpy()) for name in FACTORS}
            columns |= {"p_wrong": pa.array(self.p_wrong), "cause": pa.array(self.cause.astype(str))}  # type: ignore[union-attr]
        if self.consensus is not None:
            flat = pa.array(np.ascontiguousarray(self.consensus).ravel())
            columns["consensus"] = pa.FixedSizeListArray.from_arrays(flat, self.consensus.shape[1])
        about = {"schema": SCHEMA, "classes": self.classes, "settings": self.settings}
        told = json.dumps(about, ensure_ascii=False).encode("utf-8", "surrogatepass")
        table = pa.table(columns).replace_schema_metadata({"hardsight": told})
        # Opened here: pyarrow takes no path whose bytes are not UTF-8.
        with atomic(path) as temporary, temporary.open("wb") as file:
            pq.write_table(table, file, row_group_size=_ROW_GROUP, compression="zstd")

    @classmethod
    def load(cls, path: str | Path) -> "Difficulty":
        """Read what :meth:`save` wrote.

        Args:
            path: of the file, or of the folder that ``hardsight measure`` wrote it into.

        Raises:
            InputError: no such file, not a parquet file, not written by hardsight, or by a newer one.
        """
        place = path_of(path)
        found = stored.read(place / "difficulty.parquet" if place.is_dir() else place)
        column = found.columns
        optional: dict[str, Any] = {name: column.get(name) for name in OPTIONAL}
        return cls(
            **{name: column[name] for name in (*PARTS, "predicted")},  # type: ignore[arg-type]
            labels=column["label"],
            count=column["views"],
            ids=column["id"],
            classes=found.classes,
            consensus=found.consensus,
            ledger=np.stack([column[name] for name in FACTORS], 1) if "noise" in column else None,
            p_wrong=column.get("p_wrong"),
            cause=column.get("cause"),
            settings=found.settings,
            **optional,
        )

    def report(self, path: str | Path, samples: "Samples | None" = None, review: str | None = None) -> None:
        """Write one self-contained HTML page that opens offline.

        Args:
            path: where to.
            samples: the measured samples, to show them as what they are; by default those at hand, if any.
            review: where the page of :meth:`review` lies, seen from this one; a link leads there.

        Raises:
            InputError: the path cannot be written, or ``samples`` have other ids or labels.
        """
        from hardsight.reporting.report import write

        write(self, path, samples or self.samples, review)

    def review(self, path: str | Path, samples: "Samples | None" = None, report: str | None = None) -> None:
        """Write one self-contained HTML page on which a person looks through all samples and decides about them.

        Args:
            path: where to.
            samples: the measured samples, to show them as what they are; by default those at hand, if any.
            report: where the page of :meth:`report` lies, seen from this one; a link leads there.

        Raises:
            InputError: the path cannot be written, or ``samples`` have other ids or labels.
        """
        from hardsight.reporting.review import write

        write(self, path, samples or self.samples, report)

    @property
    def plot(self) -> "Plots":
        """Figures for notebooks, as altair charts: ``d.plot.ledger()``, ``d.plot.map()``; see
        :mod:`hardsight.reporting.plot`.
        """
        from hardsight.reporting.plot import Plots

        return Plots(self)

    def headline(self) -> str:
        """One sentence: how many samples, models and views, the mean error, and how reliable the ranking is."""
        s = self.settings
        if not len(self):
            return f"no sample of those measured by {s['members']:,} models ({s['learner']})"
        reliable = s.get("reliability")
        again = "" if reliable is None else f", ranking reliability {reliable:.3f}"
        return (
            f"{len(self):,} samples, {s['members']:,} models ({s['learner']}), {int(self.count.min())} or more held-out "
            f"views each; mean {s['loss']} error {self.error.mean():.4g}{again}"
        )

    def __repr__(self) -> str:
        return f"Difficulty: {self.headline()}\n{self.hardest(5).to_string(float_format='{:.3f}'.format)}"

    def _repr_html_(self) -> str:
        from html import escape

        shown = self.hardest(10).to_html(float_format="{:.3f}".format, escape=True, border=0)
        return f"<p>{escape(self.headline())}. The hardest:</p>{shown}"


def _name_type(classes: Sequence[Any]) -> Any:
    return None if all(type(c) is type(classes[0]) for c in classes) else object
