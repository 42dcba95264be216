"""The result: every sample's difficulty with its parts, as a table that can be saved, loaded and displayed."""

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hardsight.attribution.names import FACTORS
from hardsight.data.alignment import align_to_ids
from hardsight.difficulty.actions import recommend
from hardsight.difficulty.columns import COLUMNS, DISPLAYED, FIELDS, LOSS_TABLE, TABLE
from hardsight.difficulty.copies import list_copies
from hardsight.difficulty.decisions import CuratedLabels, apply_decisions, match_decisions, suggest_decisions
from hardsight.difficulty.file import column_values, read_fields, write_result
from hardsight.difficulty.forecast import Forecast, forecast_decisions
from hardsight.difficulty.run_info import RunInfo
from hardsight.difficulty.samples_of_parts import add_up_parts, class_codes, has_all_parts
from hardsight.difficulty.spans import list_spans
from hardsight.difficulty.spreadsheet import write_ranked_csv
from hardsight.errors import InputError
from hardsight.validation import check_int

if TYPE_CHECKING:
    from hardsight.data import Samples
    from hardsight.reporting.plot import Plots


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Difficulty:
    """Every sample's generalization error, what it is made of, and how certain it is. Higher is harder.

    Results are immutable: change a field with :func:`dataclasses.replace`.

    Attributes:
        error: mean held-out loss, ``(sample,)`` float64; nats for log-loss, squared units for Brier and regression.
        error_se: its standard error over views, ``(sample,)``; NaN for samples with one view.
        bias, variance: ``error = bias + variance`` exactly, ``(sample,)``; see
            :mod:`hardsight.measures.bias_variance`. NaN if ``loss_only``.
        n_views: number of held-out views per sample, ``(sample,)`` int64.
        labels: labels as given: codes into ``classes``, or targets in regression; NaN if ``loss_only``. ``(sample,)``
        predicted: class code of the consensus, or the mean prediction; NaN if ``loss_only``. ``(sample,)``
        ids: ``(sample,)`` int64 or str.
        sample, part: id of each row's sample and name of the part in it, ``(row,)`` int64 or str, if rows are labelled parts
            of samples, such as tokens of a sentence; otherwise None. Everything said of samples then holds for parts, and
            :meth:`by_sample` adds them up.
        sample_error_se: standard error of the summed error of each row's sample over views, ``(row,)``; NaN for samples
            with one view, and in a selection without some of their parts. None if rows are whole samples.
        run: the record of the run.
        classes: what the codes stand for; None in regression and if ``loss_only``.
        consensus: log-probabilities of the dual mean prediction, ``(sample, class)``; None in regression.
        ledger: the values of ``factors``, ``(sample, 4)``; None if there is no ledger (regression, other losses than
            log-loss, a single view).
        p_wrong: posterior probability that the given label is wrong, ``(sample,)``; None without a ledger.
        cause: the factor that explains most of a hard sample's error; "strange" for samples that are likely unlike the rest,
            whatever their error; "none" for other easy samples, ``(sample,)``; None without a ledger.
        suggested: the likeliest true label, as a code into ``classes``, ``(sample,)`` int64; None without a ledger. In
            regression the target without its ``target_error``, float64.
        p_suggested: posterior probability that it is the true label, ``(sample,)``; None without a ledger. In regression the
            probability of ``target_error``, or that there is none.
        target_error: in regression, the error of units or digits that explains a target far from its predictions, one of
            :data:`hardsight.attribution.conversions.KINDS`, empty for none, ``(sample,)`` str; otherwise None. See
            :mod:`hardsight.attribution.target_errors`.
        p_strange: probability that the sample is unlike the rest, by its features and by how the models disagree,
            ``(sample,)``; None if there are no features and no ledger; see :mod:`hardsight.attribution.strangeness`.
        hardness: one score that combines everything that may make a sample hard, ``(sample,)``; None without a ledger; see
            :mod:`hardsight.attribution.hardness`.
        adjusted: a second estimate of the error that also uses the models' in-sample losses, ``(sample,)``; None if it was
            not computed, or if a check shows that it ranks no better; see :mod:`hardsight.measures.control_variate`.
        noise_variance: variance of the targets about the consensus among samples with similar predictions, ``(sample,)``;
            only in regression, otherwise None; see :mod:`hardsight.attribution.regression_noise`.
        p_outlier: posterior probability that the target is farther off than noise, ``(sample,)``; only in regression.
        votes_label, votes_predicted: number of held-out views that predict the given label and ``predicted``, ``(sample,)``
            int64; None in regression, and if a file of an older version does not have them.
        n_neighbours: number of nearest neighbours that were evidence of the label, at most 10, ``(sample,)`` int64; None
            without features or without a ledger.
        neighbours_label, neighbours_suggested: how many of them have the given and the suggested label, likewise.
        copy_set: the set of copies that the sample belongs to, ``(sample,)`` int64; -1: it has no copy. None if there are
            no copies, or if they were not looked for. :meth:`copies` lists the sets.
        unlabelled: predictions for samples without a label, one row per id: ``predicted`` and its probability
            ``p_predicted``; in regression ``predicted`` and ``spread``, the standard deviation over models. None unless they
            were asked for (``unlabelled="predict"``).
        samples: the measured samples while they are in memory (never saved), for reports that show them.
    """

    error: np.ndarray
    error_se: np.ndarray
    bias: np.ndarray
    variance: np.ndarray
    n_views: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    ids: np.ndarray
    run: RunInfo
    sample: np.ndarray | None = None
    part: np.ndarray | None = None
    sample_error_se: np.ndarray | None = None
    classes: tuple[Any, ...] | None = None
    consensus: np.ndarray | None = None
    ledger: np.ndarray | None = None
    p_wrong: np.ndarray | None = None
    cause: np.ndarray | None = None
    suggested: np.ndarray | None = None
    p_suggested: np.ndarray | None = None
    p_strange: np.ndarray | None = None
    hardness: np.ndarray | None = None
    adjusted: np.ndarray | None = None
    target_error: np.ndarray | None = None
    noise_variance: np.ndarray | None = None
    p_outlier: np.ndarray | None = None
    votes_label: np.ndarray | None = None
    votes_predicted: np.ndarray | None = None
    n_neighbours: np.ndarray | None = None
    neighbours_label: np.ndarray | None = None
    neighbours_suggested: np.ndarray | None = None
    copy_set: np.ndarray | None = None
    unlabelled: pd.DataFrame | None = None
    samples: "Samples | None" = None

    def __len__(self) -> int:
        return len(self.error)

    @property
    def settings(self) -> dict[str, Any]:
        """The record of the run as JSON types: loss, learner, splits, seed, members, notices and more. A copy."""
        return self.run.to_json()

    @cached_property
    def regression(self) -> bool:
        """Whether the labels are numbers to predict."""
        return self.classes is None and not self.loss_only

    @cached_property
    def loss_only(self) -> bool:
        """Whether the models gave a loss per sample and no predictions.

        Then there is only the error, with its standard error and the reliability of its ranking: no bias, no variance, no
        ledger, and no label that might be wrong.
        """
        return self.run.loss_only

    @cached_property
    def factors(self) -> pd.DataFrame | None:
        """The ledger as a table by id, with columns noise, imbalance, margin and uncertainty; each row adds up to the error.

        In regression the columns are noise, what correcting the target would save (P(outlier) times what exceeds the usual
        noise variance); variance, what infinitely many models would save; and spread, the rest: how far targets of such
        samples lie from the consensus. None without a ledger, and if a sample has a single view.
        """
        if self.noise_variance is not None and self.p_outlier is not None and np.isfinite(self.variance).all():
            beyond = np.maximum(self.error - self.variance - self.noise_variance, 0)
            noise = self.p_outlier * beyond
            parts = {"noise": noise, "spread": self.error - self.variance - noise, "variance": self.variance}
            return pd.DataFrame(parts, index=pd.Index(self.ids, name="id"))
        if self.ledger is None:
            return None
        return pd.DataFrame(self.ledger, columns=list(FACTORS), index=pd.Index(self.ids, name="id"))

    @cached_property
    def p_label(self) -> np.ndarray:
        """Probability that the consensus gives the given label, ``(sample,)``; NaN in regression."""
        if self.consensus is None:
            return np.full(len(self), np.nan)
        probability: np.ndarray = np.exp(self.consensus[np.arange(len(self)), self.labels])
        return probability

    @cached_property
    def recommended_action(self) -> np.ndarray | None:
        """The recommended action per sample, ``(sample,)`` str; None without a ledger.

        One of ``hardsight.difficulty.actions.RECOMMENDATIONS``. Tables call this column "todo".
        """
        if self.cause is None or self.p_wrong is None:
            return None
        labels = class_codes(self, self.labels)
        suggested = None if self.suggested is None else class_codes(self, self.suggested)
        return recommend(self.cause, self.p_wrong, labels, suggested, self.p_suggested, self.ledger_trust)

    @property
    def ledger_trust(self) -> float:
        """How far P(label wrong) explains the labels that contradict the most confident predictions, 0 to 1.

        It describes all samples that were measured together. Below 1, labels that look wrong may be right.
        """
        return 1.0 if self.run.ledger_trust is None else self.run.ledger_trust

    @property
    def noise_sd(self) -> float | None:
        """Square root of the mean noise variance, in the units of the target; only in regression, otherwise None."""
        return None if self.noise_variance is None else float(np.sqrt(self.noise_variance.mean()))

    @property
    def transition(self) -> pd.DataFrame | None:
        """Estimated P(given label | true label), one row per true class; None without a ledger.

        It describes all samples that were measured together, also if this result holds a selection of them.
        """
        if self.run.transition is None or self.classes is None:
            return None
        # As objects: pandas' own string type refuses what is not valid Unicode.
        names = pd.Index(list(self.classes), dtype=object)
        return pd.DataFrame(self.run.transition, index=names.rename("true"), columns=names.rename("given"))

    @property
    def noise_rates(self) -> pd.DataFrame | None:
        """How noisy the labels of each class are; None without a ledger. One row per class, with columns

        - ``given``: number of samples with this label,
        - ``true_share``: estimated share of the class among the true labels of all measured samples,
        - ``wrong``: expected share of wrong labels among the samples with this label, NaN if there are none,
        - ``mislabelled``: share of the class's true samples that were given another label.
        """
        transition = self.transition
        if transition is None or self.p_wrong is None:
            return None
        sizes = np.bincount(self.labels, minlength=len(transition))
        expected = np.bincount(self.labels, weights=self.p_wrong, minlength=len(transition))
        columns = {
            "given": sizes,
            "true_share": np.nan if self.run.class_shares is None else self.run.class_shares,
            "wrong": np.where(sizes > 0, expected / np.maximum(sizes, 1), np.nan),
            "mislabelled": 1 - np.diag(transition.to_numpy()),
        }
        return pd.DataFrame(columns, index=transition.index.rename("class"))

    @cached_property
    def residual_quantile(self) -> np.ndarray | None:
        """Position of each target among all: the share of samples whose target lies lower relative to its predictions.

        Residuals are divided by the standard deviation of the noise, ``(sample,)``; near 1 the target is high, near 0 low.
        Only in regression, otherwise None. It describes the samples of this result.
        """
        if self.noise_variance is None:
            return None
        residual = (self.labels - self.predicted) / np.sqrt(np.maximum(self.noise_variance, np.finfo(float).tiny))
        order = np.sort(residual)
        below, upto = np.searchsorted(order, residual, "left"), np.searchsorted(order, residual, "right")
        quantile: np.ndarray = (below + upto) / (2 * max(len(order), 1))
        return quantile

    def label_names(self, codes: np.ndarray) -> np.ndarray:
        """Return the labels that class codes stand for. Targets stay as they are."""
        if self.classes is None:
            return codes
        same_type = all(type(name) is type(self.classes[0]) for name in self.classes)
        names: np.ndarray = np.array(self.classes, dtype=None if same_type else object)[codes]
        return names

    @property
    def table(self) -> pd.DataFrame:
        """One row per sample, by id, in the order given: label, prediction, error and its parts, as far as known."""
        columns = {column.name: column_values(self, column) for column in COLUMNS}
        for column in COLUMNS:
            if column.kind == "label" and (codes := columns[column.name]) is not None:
                columns[column.name] = self.label_names(codes)
        columns |= {"p_label": None if self.classes is None else self.p_label, "todo": self.recommended_action}
        columns["residual_quantile"] = self.residual_quantile
        values = {name: columns[name] for name in (LOSS_TABLE if self.loss_only else TABLE)}
        index = pd.Index(self.ids, name="id")
        return pd.DataFrame({name: column for name, column in values.items() if column is not None}, index=index)

    def hardest(self, n: int = 10) -> pd.DataFrame:
        """Return the ``n`` samples with the largest error, hardest first. Ties keep the order given.

        Raises:
            InputError: ``n`` is not an integer, or negative.
        """
        return self.table.iloc[self.ranking[: check_int("n", n, 0)]]

    def by_sample(self) -> pd.DataFrame:
        """Return one row per sample, by id, where rows are labelled parts of samples; hardest first.

        See :func:`hardsight.difficulty.samples_of_parts.add_up_parts` for the columns.

        Raises:
            InputError: the rows of this result are whole samples.
        """
        return add_up_parts(self)

    def spans(self) -> pd.DataFrame:
        """Return the spans of tokens, such as names, with the probability that each is wrong, and those probably missed.

        See :func:`hardsight.difficulty.spans.list_spans` for the columns.

        Raises:
            InputError: rows are not tokens, there is no P(label wrong), or the tags spell no spans.
        """
        return list_spans(self)

    def copies(self) -> pd.DataFrame:
        """Return the sets of samples that are copies of each other, exactly or nearly: one row per set, by ``set``.

        Columns are ``size``, ``contradictory`` (whether the labels differ), ``ids`` and ``labels`` (lists, in the order
        given). Contradictory sets come first, then large ones. Sets with fewer than two samples in this result are left out.
        """
        return list_copies(self)

    @cached_property
    def ranking(self) -> np.ndarray:
        """Row positions from the hardest to the easiest sample, ``(sample,)`` int64. Ties keep the order given."""
        return np.argsort(-self.error, kind="stable")

    @cached_property
    def ranking_by_doubt(self) -> np.ndarray:
        """Row positions from the likeliest wrong label to the least likely, ``(sample,)`` int64.

        By P(label wrong), or P(outlier) in regression, and by error where that says nothing: among labels of which none is
        doubted, and among those that are surely wrong. Without either, it is :attr:`ranking`.
        """
        doubt = self.p_outlier if self.p_wrong is None else self.p_wrong
        if doubt is None:
            return self.ranking
        # Digits beyond single precision mean nothing, and would put the error aside among the surest labels.
        doubt = np.nan_to_num(doubt, nan=-1.0).astype(np.float32)
        order: np.ndarray = self.ranking[np.argsort(-doubt[self.ranking], kind="stable")]
        return order

    @cached_property
    def doubt_rank(self) -> np.ndarray:
        """Place of each sample in :attr:`ranking_by_doubt`, 0 for the likeliest wrong label, ``(sample,)`` int64."""
        place = np.empty(len(self), dtype=np.int64)
        place[self.ranking_by_doubt] = np.arange(len(self))
        return place

    def likeliest_wrong(self, n: int = 10) -> pd.DataFrame:
        """Return the ``n`` samples whose labels are likeliest wrong, in the order of :attr:`ranking_by_doubt`.

        Raises:
            InputError: ``n`` is not an integer, or negative.
        """
        return self.table.iloc[self.ranking_by_doubt[: check_int("n", n, 0)]]

    def reasons(self, ids: Any = None, samples: "Samples | None" = None) -> pd.Series:
        """Return one sentence per sample on why it is hard: what its label is, and what models and neighbours say.

        If the label is likely wrong, up to three columns of a table that speak for the suggested label follow, each with the
        sample's value and, for either label, the median of the 20 nearest samples whose labels are likely right (for
        categories, how many of them share the value). For strange samples it is the distance to the nearest sample, and
        numbers beyond the range of 98 % of their column. These need the samples, which a saved result does not hold.

        Args:
            ids: of the samples asked about, in the order wanted, or a boolean mask, as in :meth:`select`; None for all.
            samples: the measured samples; by default those in memory, if any.

        Returns:
            Sentences by id, named "reason".

        Raises:
            InputError: an unknown id, or ``samples`` that have other ids or labels.
        """
        from hardsight.reporting.reasons import write_reasons
        from hardsight.reporting.report.examples import align_samples

        rows = np.arange(len(self)) if ids is None else self._positions(ids)
        samples = self._check_samples(samples)
        aligned = None if samples is None else align_samples(self, samples)
        # As objects: pandas' own string type refuses what is not valid Unicode.
        values = np.array(write_reasons(self, rows, aligned), dtype=object)
        return pd.Series(values, index=pd.Index(self.ids[rows], name="id"), name="reason", dtype=object)

    def select(self, rows: Any) -> "Difficulty":
        """Return the same result for some of the samples.

        Args:
            rows: a boolean mask ``(sample,)``, or a sequence of ids in the order wanted. A mask that is a Series, of
                :attr:`table` or :meth:`hardest`, for example, is aligned by id.

        Raises:
            InputError: a mask of another length or about other ids, an unknown id, or neither a mask nor ids.
        """
        index = self._positions(rows)
        fields = {name: getattr(self, name) for name in FIELDS}
        selected: dict[str, Any] = {name: None if values is None else values[index] for name, values in fields.items()}
        if self.sample is not None and self.sample_error_se is not None:
            selected["sample_error_se"] = np.where(has_all_parts(self.sample, index), selected["sample_error_se"], np.nan)
        return replace(self, **selected, samples=None if self.samples is None else self.samples.take(index))

    def _positions(self, rows: Any) -> np.ndarray:
        """Return the positions of a mask's or ids' samples, ``(row,)`` int64."""
        values = np.asarray(rows)
        if values.dtype == bool:
            if values.shape != (len(self),):
                raise InputError(f"the mask must have shape ({len(self)},), one value per sample. Got {values.shape}")
            return np.flatnonzero(align_to_ids("the mask", rows, self.ids))
        if values.ndim != 1:
            raise InputError(
                f"samples must be selected by a mask or a sequence of ids. Got {type(rows).__name__}: pass [id] for one"
            )
        index: np.ndarray = pd.Index(self.ids).get_indexer(values)
        if (index < 0).any():
            unknown, example = values[index < 0].tolist()[0], self.ids[:1].tolist()[0]
            raise InputError(f"no sample has the id {unknown!r}: ids look like {example!r}")
        return index

    def suggestions(self) -> pd.DataFrame:
        """Return the advised changes of labels as decisions for :meth:`forecast` and :meth:`apply`.

        One row per sample with the :attr:`recommended_action` "relabel", in regression with a ``target_error``, by id, in
        the order given. Columns are ``action``, ``label`` (the suggested one), ``given``, ``p_wrong`` (in regression
        ``p_outlier``) and ``p_suggested``.

        Raises:
            InputError: the result has no suggestions (classes with another loss than log-loss, a single view).
        """
        return suggest_decisions(self)

    def forecast(self, decisions: Any) -> Forecast:
        """Return how many wrong labels decisions should put right, and how many right ones spoil, if nobody looks.

        Args:
            decisions: as in :meth:`apply`.

        Raises:
            InputError: as in :meth:`apply`, or the result has no P(label wrong).
        """
        return forecast_decisions(self, match_decisions(decisions, self))

    def apply(self, decisions: Any = None, *, drop_copies: bool = False) -> CuratedLabels:
        """Return what to train on after a review: labels after relabelling, and which samples stay.

        Args:
            decisions: path of the csv that the review page exports, or a DataFrame with its columns ``id``, ``action``
                (keep, relabel, drop or unsure) and ``label``. Samples without a row stay as they are. None: no decisions.
            drop_copies: keep one sample of each set of :meth:`copies`: the one whose label is likeliest right. A label that
                was kept by decision, or changed to another than the suggested one, counts as right. Of equally likely
                ones the first stays.

        Raises:
            InputError: an id that was not measured or appears twice, an unknown action or class, or a file that is not such
                a csv.
        """
        return apply_decisions(self, decisions, drop_copies=drop_copies)

    def save(self, path: str | Path) -> None:
        """Write everything except the samples themselves to a parquet file, all or nothing.

        Args:
            path: path of the file; its name ends in .parquet.

        Raises:
            InputError: the path has another ending, or cannot be written.
        """
        write_result(self, path)

    def to_csv(self, path: str | Path) -> None:
        """Write a ranked list for a spreadsheet: one row per sample, the likeliest wrong label first, then by error.

        It has the columns id, label, suggested, p_wrong, cause, todo, error, error_se, predicted and reason, as far as
        known; in regression p_outlier in place of p_wrong. Where rows are parts of samples, sample, part and the part's text
        follow the id. The first 20,000 rows have a reason, see :meth:`reasons`. Cells that a spreadsheet would run as a
        formula get an apostrophe in front. :meth:`save` writes everything, in full precision.

        Args:
            path: path of the file; its name ends in .csv.

        Raises:
            InputError: the path has another ending, or cannot be written.
        """
        from hardsight.reporting.reasons import write_reasons

        write_ranked_csv(self, path, lambda rows: write_reasons(self, rows, self.samples))

    @classmethod
    def load(cls, path: str | Path) -> "Difficulty":
        """Read a result that :meth:`save` wrote.

        Args:
            path: of the file, or of the folder into which ``hardsight measure`` wrote it.

        Raises:
            InputError: there is no such file, it is not a parquet file, it was not written by hardsight, or by a newer one.
        """
        return cls(**read_fields(path))

    def report(self, path: str | Path, samples: "Samples | None" = None, review: str | None = None) -> None:
        """Write one self-contained HTML page that opens offline.

        Args:
            path: path of the page.
            samples: the measured samples, so that the page can show them; by default those in memory, if any.
            review: address of the page of :meth:`review`, relative to this one, for a link.

        Raises:
            InputError: the path cannot be written, or ``samples`` are not :class:`Samples`, or have other ids or labels.
        """
        from hardsight.reporting.report import write

        write(self, path, self._check_samples(samples), review)

    def review(self, path: str | Path, samples: "Samples | None" = None, report: str | None = None) -> None:
        """Write one self-contained HTML page on which a person goes through all samples and decides about them.

        Args:
            path: path of the page.
            samples: the measured samples, so that the page can show them; by default those in memory, if any.
            report: address of the page of :meth:`report`, relative to this one, for a link.

        Raises:
            InputError: the path cannot be written, or ``samples`` have other ids or labels.
        """
        from hardsight.reporting.review import write

        write(self, path, self._check_samples(samples), report)

    def _check_samples(self, samples: Any) -> "Samples | None":
        """Return samples that a page can show, by default those in memory.

        Raises:
            InputError: something else.
        """
        from hardsight.data import Samples

        if samples is None:
            return self.samples
        if not isinstance(samples, Samples):
            raise InputError(
                f"samples must be hs.Samples. Got {type(samples).__name__}: make them with hs.Samples.of(X, y) or "
                "hs.read(path)"
            )
        return samples

    @property
    def plot(self) -> "Plots":
        """Figures for notebooks, as altair charts: ``d.plot.ledger()``, ``d.plot.map()``; see
        :mod:`hardsight.reporting.plot`.
        """
        from hardsight.reporting.plot import Plots

        return Plots(self)

    def headline(self) -> str:
        """Return one sentence: numbers of samples, models and views, the mean error, and the ranking's reliability."""
        from hardsight.reporting.formatting import LOSSES, format_count
        from hardsight.reporting.nouns import nouns_of

        run = self.run
        if not len(self):
            return f"no sample of those measured by {run.n_models:,} models ({run.learner})"
        reliability = "" if run.reliability is None else f", ranking reliability {run.reliability:.3f}"
        rows = format_count(len(self), nouns_of(self).row)
        models = f"{format_count(run.n_models, 'model')} ({run.learner})"
        fewest, most = int(self.n_views.min()), int(self.n_views.max())
        views = format_count(most, "held-out view") if fewest == most else f"{fewest:,} to {most:,} held-out views"
        return (
            f"{rows}, {models}, {views} each; mean {LOSSES.get(run.loss, f'{run.loss} error')} "
            f"{self.error.mean():.4g}{reliability}"
        )

    def __repr__(self) -> str:
        from hardsight.reporting.answer import answer

        table = self._displayed(5).to_string(float_format="{:.3f}".format)
        return "\n".join([*answer(self), f"Difficulty: {self.headline()}", table])

    def _repr_html_(self) -> str:
        from hardsight.reporting.answer import answer

        first, *others = [escape(sentence) for sentence in answer(self)] or [""]
        table = self._displayed(10).to_html(float_format="{:.3f}".format, escape=True, border=0)
        sentences = f"<p><b>{first}</b> {' '.join(others)}</p>" if first else ""
        return f"{sentences}<p>{escape(self.headline())}. The hardest:</p>{table}"

    def _displayed(self, n: int) -> pd.DataFrame:
        """Return the hardest samples with the columns that fit beside each other."""
        hardest = self.hardest(n)
        return hardest[[name for name in DISPLAYED if name in hardest]]
