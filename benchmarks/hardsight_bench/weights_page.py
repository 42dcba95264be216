"""The page of the study of weights, as markdown."""

import math

import pandas as pd

from hardsight_bench.tables import format_or_dash, markdown_table
from hardsight_bench.weights_field import AUTO
from hardsight_bench.weights_scores import GAP, HARM, Interval, StudyScores, best_fixed
from hardsight_bench.weights_study import FOLDS, KINDS


def render_page(rows: pd.DataFrame, found: dict[str, StudyScores]) -> str:
    """The study of weights; what was found of each learner."""
    grid = " × ".join(f"{name} ({', '.join(rows[name].unique())})" for name in ("set", "noise", "imbalance"))
    what = (
        f"{grid} × {rows['seed'].nunique()} seeds; clean test sets. *Uniform* weighs all samples alike, *oracle* the "
        "rightly labelled ones alone with balanced classes, *random* by exponential numbers. Recovery: (row − uniform) / "
        f"(oracle − uniform) of balanced accuracy, over cells where the gap is above {100 * GAP:g} points. Regret: "
        "points below the best fixed scheme of each cell. Ranks: among all rows but the oracle. Harmed: cells where a row "
        f"is more than {100 * HARM:g} points below uniform, beyond the interval. In brackets: 95 % of a paired bootstrap "
        "over cells and seeds."
    )
    told = ["# What do weights gain?", what]
    for learner, one in found.items():
        own = rows[rows["learner"] == learner]
        told += [f"## {learner}", _recipe(own, one), _gained(own, one)]
        if AUTO in one.rows:
            told += ["### The automatic scheme", _by_world(one.cells, AUTO), *_harms(one.cells, AUTO)]
        if one.left_out:
            told += ["### Without a score", markdown_table(("row", "why"), sorted(one.left_out.items()))]
    return "\n\n".join(told)


def _recipe(rows: pd.DataFrame, found: StudyScores) -> str:
    kind = KINDS[str(rows["learner"].iloc[0])]
    each = rows.drop_duplicates(["set", "noise", "imbalance", "seed"])
    seconds = (each["seconds"] * rows.groupby(["set", "noise", "imbalance", "seed"]).size().mean()).mean()
    return (
        f"{kind.what[0].upper()}{kind.what[1:]}. Difficulty: `hs.measure(learner={kind.measure!r}, folds={FOLDS}, "
        f"repeats={kind.repeats})`. {found.all} cells, {found.wide} with a gap; {each['seconds_measure'].mean():.1f} CPU "
        f"seconds for the difficulty of a world and {seconds:.1f} for all rows."
    )


def _gained(rows: pd.DataFrame, found: StudyScores) -> str:
    mean = rows.groupby("row")[["balanced_accuracy", "accuracy", "log_loss", "worst_class", "ess"]].mean()
    head = ("row", "kind", "mean rank", "gap recovery", "points to uniform", "regret, points", "harmed", "balanced accuracy",
            "accuracy", "log-loss", "worst class", "effective size")  # fmt: skip
    how = rows.groupby("row")["how"].first()
    cells = []
    for name, gain in found.rows.items():
        own = mean.loc[name]
        cells.append(
            (
                name,
                how[name],
                _between(gain.rank, ".1f"),
                _between(gain.recovery, ".2f"),
                _between(gain.difference, "+.1f", 100),
                _between(gain.regret, ".1f", 100),
                str(gain.harmed),
                *(f"{own[each]:.3f}" for each in ("balanced_accuracy", "accuracy", "log_loss", "worst_class")),
                format_or_dash(float(mean["ess"][name]), ".0%"),
            )
        )
    return markdown_table(head, cells)


def _between(found: Interval, form: str, times: float = 1) -> str:
    if not math.isfinite(found.mean):
        return "–"
    mean, low, high = (format(times * value, form) for value in found)
    return f"{mean} ({low} … {high})"


def _by_world(cells: pd.DataFrame, name: str) -> str:
    """One row of the study by noise and imbalance: means over sets."""
    keys = ["noise", "imbalance"]
    score = {each: own.groupby(keys, sort=False)["score"].mean() for each, own in cells.groupby("row")}
    own = cells[cells["row"] == name].groupby(keys, sort=False)
    worst, recovery, harmed = own["difference"].min(), own["recovery"].mean(), own["harmed"].sum()
    best = best_fixed(cells).groupby(keys, sort=False)["score"].mean()
    head = (*keys, "uniform", "best fixed of each cell", name, "oracle", "gap recovery", "worst set, points to uniform",
            "harmed")  # fmt: skip
    lines = [
        (
            *map(str, at),
            *(f"{each[at]:.3f}" for each in (score["uniform"], best, score[name], score["oracle"])),
            format_or_dash(recovery[at], ".2f"),
            f"{100 * worst[at]:+.1f}",
            str(harmed[at]),
        )
        for at in worst.index
    ]
    return markdown_table(head, lines)


def _harms(cells: pd.DataFrame, name: str) -> list[str]:
    harmed = cells[(cells["row"] == name) & cells["harmed"]].sort_values("difference")
    if harmed.empty:
        return ["It harms in no cell."]
    lines = [
        (
            *(str(row[key]) for key in ("set", "noise", "imbalance")),
            _between(Interval(row["difference"], row["low"], row["high"]), "+.1f", 100),
        )
        for row in harmed.to_dict("records")
    ]
    return ["Where it harms:", markdown_table(("set", "noise", "imbalance", "points to uniform"), lines)]
