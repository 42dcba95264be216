"""The page of the study of tables, from its rows."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from hardsight_bench.real_tables import TABLES
from hardsight_bench.tables import format_or_dash, markdown_table
from hardsight_bench.tables_methods import FOLDS, PEERS
from hardsight_bench.tables_noise import NOISES
from hardsight_bench.tables_scores import BANDS, band_column

OURS = "default"
_HALVES: dict[str, tuple[str, ...]] = {
    "choosing": ("choosing",),
    "reporting": ("reporting",),
    "all": ("choosing", "reporting"),
}
_AP_TOLERANCE, _MIN_PRECISION, _PEER_RECALL = 0.01, 0.5, 0.2
_TIME_FACTOR = 3
# The peer that trains the same models, by the name of the learner in results.
_PEER_OF = {
    "RandomForestClassifier out of bag": "cleanlab-forest",
    "boosting": "cleanlab-boosting",
    "lightgbm": "cleanlab-lightgbm",
}


class Criterion(NamedTuple):
    """A criterion, and what came of it.

    Attributes:
        asked: what is asked for.
        check: returns what came of it on the summary of some tables.
    """

    asked: str
    check: Callable[[pd.DataFrame], str]


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per table and method: means over seeds, and precision and recall of all seeds together.

    Args:
        rows: of one kind of noise.
    """
    columns = [
        "average_precision",
        "wrong",
        "flagged",
        "true_positives",
        "left",
        "calibration",
        "calibration_width",
        "seconds",
    ]
    grouped = rows.groupby(["table", "method"], sort=False)
    # A method that fails with one seed has no mean; the seeds that remain may be the easier ones.
    table = grouped[columns].agg("mean", skipna=False)
    table = table.join(grouped[["half", "learner"]].first()).join(grouped["repeats"].mean())
    table["precision"] = table["true_positives"] / table["flagged"].where(table["flagged"] > 0)
    table["recall"] = table["true_positives"] / table["wrong"]
    return table.reset_index()


def render_page(rows: pd.DataFrame) -> str:
    """Return the page about all rows of a csv file of results."""
    if rows.empty:
        return "# Wrong labels in real tables\n\nThere are no results yet."
    sections = ["# Wrong labels in real tables", _describe_coverage(rows)]
    for noise in [name for name in NOISES if (rows["noise"] == name).any()]:
        group = rows[rows["noise"] == noise]
        summary = summarize(group)
        share = group["wrong"].sum() / group["samples"].sum()
        sections += [f"## Noise: {noise}", f"{share:.0%} of the labels are wrong: {NOISES[noise].what}."]
        if OURS in set(summary["method"]):
            sections += ["### The default, criterion by criterion", _criteria_table(summary)]
        sections += ["### Methods", _methods_table(summary), "### P(wrong) by band", _bands_table(group)]
        sections += ["### Average precision by table", _by_table(summary, "average_precision", ".3f")]
        sections += ["### Wrong labels left by table", _by_table(summary[summary["left"].notna()], "left", ",.0f", "wrong")]
    return "\n\n".join([*sections, *_fault_section(rows)])


def _describe_coverage(rows: pd.DataFrame) -> str:
    methods = ", ".join(f"`{name}`" for name in rows["method"].unique())
    cells = rows[["table", "noise", "seed"]].drop_duplicates()
    combinations = " × ".join(str(rows[name].nunique()) for name in ("table", "noise", "seed"))
    full = rows["table"].nunique() * rows["noise"].nunique() * rows["seed"].nunique()
    partly = "" if len(cells) == full else f", {len(cells)} of these {full} cells"
    return (
        f"{combinations} (tables × noises × seeds{partly}); at most {rows['max_rows'].iloc[0]:,} rows of a table; methods: "
        f"{methods}. `default` is `hs.measure`; a learner's name is `hs.measure` with that learner; `cleanlab-…` is "
        f"cleanlab on out-of-fold probabilities in {FOLDS} folds; `aum` is the area under the margin over the stages of "
        "gradient boosting. A label "
        "is flagged where P(wrong) > ½, or by cleanlab's `find_label_issues`; *left* is the number of wrong labels after "
        "every flagged label is replaced by the suggestion. Calibration is the error of P(wrong) over ten bins of equally "
        "many samples (fewer if a bin would hold less than 50), and over ten bins of equal width. Precision and recall are "
        "those of all seeds together. Runs from 30 November 2026 on rank labels of equal P(wrong) by their error, as users "
        "get them; earlier ones ranked them arbitrarily, which matters where no label is doubted. Ranks are by average "
        "precision among all methods. Seconds are of CPU in one thread. "
        "Every second table, in the order of `real_tables.py`, is for choosing defaults; the others only report."
    )


def _criteria_table(summary: pd.DataFrame) -> str:
    cells = []
    for criterion in _list_criteria():
        checked = (criterion.check(summary[summary["half"].isin(halves)]) for halves in _HALVES.values())
        cells.append((criterion.asked, *checked))
    return markdown_table(("criterion", *_HALVES), cells)


def _list_criteria() -> Iterator[Criterion]:
    yield Criterion("average precision at least the best peer's − .01, on 9 of 10 tables", _check_average_precision)
    yield Criterion("mean rank among the default and peers: first", _check_rank)
    yield Criterion("fewest wrong labels left, over all tables", _check_left)
    yield Criterion("on no table more wrong labels left than before", _check_no_harm)
    yield Criterion("precision of the flagged ≥ .5 on every table, and flags where a peer has them", _check_precision)
    yield Criterion("calibration error (equal mass) ≤ .05 on average, ≤ .10 at worst", _check_calibration("calibration"))
    yield Criterion("calibration error (equal width): the same", _check_calibration("calibration_width"))
    yield Criterion(
        f"seconds ≤ {_TIME_FACTOR} × cross-validation of the chosen learner + one five-fold run of each", _check_seconds
    )


def _ours(summary: pd.DataFrame) -> pd.DataFrame:
    return summary[summary["method"] == OURS].set_index("table")


def _pivot(summary: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column as a table ``(table, method)`` with the default and its peers."""
    peers = summary[summary["method"].isin((OURS, *PEERS))]
    return peers.pivot(index="table", columns="method", values=column)


def _check_average_precision(summary: pd.DataFrame) -> str:
    values = _pivot(summary, "average_precision")
    if values.shape[1] < 2:
        return "–"
    gap = values[OURS] - values.drop(columns=OURS).max(axis=1)
    behind = gap[~(gap >= -_AP_TOLERANCE)].sort_values()
    return f"{len(gap) - len(behind)} of {len(gap)}" + _name_tables(behind, "+.3f")


def _check_rank(summary: pd.DataFrame) -> str:
    ranks = _pivot(summary, "average_precision").rank(axis=1, ascending=False, na_option="bottom").mean().sort_values()
    place = list(ranks.index).index(OURS) + 1 if OURS in ranks else 0
    best = ranks.drop(OURS, errors="ignore")
    other = f"; best peer {best.index[0]} {best.iloc[0]:.2f}" if len(best) else ""
    return f"place {place} of {len(ranks)} ({ranks[OURS]:.2f}{other})" if place else "–"


def _check_left(summary: pd.DataFrame) -> str:
    left = _pivot(summary, "left").dropna(axis=1, how="all").sum(skipna=False).sort_values()
    before = _ours(summary)["wrong"].sum()
    return f"of {before:,.0f}: " + ", ".join(f"{name} {format_or_dash(value, ',.0f')}" for name, value in left.items())


def _check_no_harm(summary: pd.DataFrame) -> str:
    ours = _ours(summary)
    worse = ours.loc[~(ours["left"] <= ours["wrong"]), ["left", "wrong"]]
    named = (worse["left"] - worse["wrong"]).sort_values(ascending=False)
    return f"{len(ours) - len(worse)} of {len(ours)}" + _name_tables(named, "+,.1f")


def _check_precision(summary: pd.DataFrame) -> str:
    ours = _ours(summary)
    peers = summary[summary["method"].isin(PEERS)]
    able = peers.loc[(peers["precision"] >= _MIN_PRECISION) & (peers["recall"] >= _PEER_RECALL), "table"]
    silent = ours["precision"].isna() & ours.index.isin(able)
    fails = ours.loc[silent | (ours["precision"] < _MIN_PRECISION), "precision"].sort_values()
    return f"{len(ours) - len(fails)} of {len(ours)}" + _name_tables(fails, ".2f")


def _check_calibration(column: str) -> Callable[[pd.DataFrame], str]:
    def check(summary: pd.DataFrame) -> str:
        values = _ours(summary)[column]
        if not values.notna().any():
            return "–"
        return f"mean {values.mean():.3f}, worst {values.max():.3f} ({values.idxmax()})"

    return check


def _check_seconds(summary: pd.DataFrame) -> str:
    """Compare with the time of the peers, which run the same learners in five folds.

    It can only be said where the chosen learner is that of a peer.
    """
    seconds = _pivot(summary, "seconds")
    compared = seconds[[name for name in PEERS if name in seconds and name != "aum"]]
    ratios = {}
    for name, learner, repeats, spent in _ours(summary)[["learner", "repeats", "seconds"]].itertuples(name=None):
        own = _PEER_OF.get(str(learner))
        if own in compared:
            five_folds = compared.loc[name]
            ratios[name] = spent / (_TIME_FACTOR * five_folds[own] * repeats + five_folds.sum())
    over = pd.Series({name: ratio for name, ratio in ratios.items() if ratio > 1}, dtype=float).sort_values()
    if not ratios:
        return "–"
    return f"{len(ratios) - len(over)} of the {len(ratios)} tables where a peer has that learner" + _name_tables(over, ".2f")


def _name_tables(values: pd.Series, form: str) -> str:
    if values.empty:
        return ""
    return " (not: " + ", ".join(f"{name} {format_or_dash(float(value), form)}" for name, value in values.items()) + ")"


def _methods_table(summary: pd.DataFrame) -> str:
    ap = summary.pivot(index="table", columns="method", values="average_precision")
    ranks = ap.rank(axis=1, ascending=False, na_option="bottom").mean()
    cells = []
    for name in summary["method"].unique():
        own = summary[summary["method"] == name]
        flagged, true_positives, wrong = own["flagged"].sum(), own["true_positives"].sum(), own["wrong"].sum()
        by_half = (own.loc[own["half"].isin(halves), "average_precision"].mean() for halves in _HALVES.values())
        ranked_only = not own["flagged"].notna().any()
        counts = (flagged, true_positives / flagged if flagged else np.nan, true_positives / wrong, wrong, own["left"].sum())
        forms = (",.0f", ".2f", ".2f", ",.0f", ",.0f")
        cells.append(
            (
                f"`{name}`",
                *(format_or_dash(value, ".3f") for value in by_half),
                f"{ranks[name]:.2f}",
                *("–" if ranked_only else format_or_dash(float(v), form) for v, form in zip(counts, forms, strict=True)),
                *(format_or_dash(own[each].mean(), ".3f") for each in ("calibration", "calibration_width")),
                f"{own['seconds'].mean():.1f}",
            )
        )
    head = ("method", *(f"AP, {half}" for half in _HALVES), "mean rank", "flagged", "precision", "recall", "wrong before",
            "left", "calibration, mass", "width", "seconds")  # fmt: skip
    return markdown_table(head, cells)


def _bands_table(rows: pd.DataFrame) -> str:
    """Return, per method and band, the number of samples, their mean P(wrong), and the share that is wrong."""
    cells = []
    stating = rows[rows["calibration"].notna()]
    for name in stating["method"].unique():
        sums = stating[stating["method"] == name].sum(numeric_only=True)
        texts = []
        for band in BANDS:
            n, p, wrong = (float(sums[band_column(band, each)]) for each in ("n", "p", "wrong"))
            texts.append(f"{n:,.0f}: {p / n:.2f} / {wrong / n:.2f}" if n else "none")
        cells.append((f"`{name}`", *texts))
    head = ("method", *(f"{low:g} to {high:g}: flagged: mean P / share wrong" for low, high in BANDS))
    return markdown_table(head, cells)


def _by_table(summary: pd.DataFrame, column: str, form: str, before: str | None = None) -> str:
    """Return a column by table and method, the best value in bold."""
    values = summary.pivot(index="table", columns="method", values=column)
    values = values.loc[[name for name in TABLES if name in values.index], summary["method"].unique()]
    best = values.max(axis=1) if before is None else values.min(axis=1)
    halves = summary.groupby("table")["half"].first()
    amounts = None if before is None else summary.groupby("table")[before].first()
    cells = []
    for name in values.index:
        texts = [] if amounts is None else [format_or_dash(float(amounts[name]), form)]
        for value in values.loc[name]:
            text = format_or_dash(float(value), form)
            texts.append(f"**{text}**" if value == best[name] else text)
        cells.append((str(name), str(halves[name]), *texts))
    start = () if before is None else ("before",)
    return markdown_table(("table", "half", *start, *(f"`{name}`" for name in values.columns)), cells)


def _fault_section(rows: pd.DataFrame) -> list[str]:
    faults = rows[rows["fault"] != ""].groupby(["method", "fault"], as_index=False).size()
    if faults.empty:
        return []
    cells = [(f"`{row['method']}`", str(row["size"]), str(row["fault"])) for row in faults.to_dict("records")]
    return ["## Failures", markdown_table(("method", "cells", "why"), cells)]
