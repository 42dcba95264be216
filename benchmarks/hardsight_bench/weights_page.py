"""The page of the study of weights, in Markdown."""

import math

import pandas as pd

from hardsight_bench.tables import format_or_dash, markdown_table
from hardsight_bench.weights_field import AUTO
from hardsight_bench.weights_scenarios import FOLDS
from hardsight_bench.weights_scores import GAP, HARM, Interval, StudyScores, best_fixed
from hardsight_bench.weights_study import KINDS


def render_page(rows: pd.DataFrame, scores: dict[str, StudyScores]) -> str:
    """Return the page of the study from its rows and the scores by learner."""
    grid = " × ".join(f"{name} ({', '.join(rows[name].unique())})" for name in ("set", "noise", "imbalance"))
    introduction = (
        f"{grid} × {rows['seed'].nunique()} seeds; clean test sets. *Uniform* weighs all samples alike, *oracle* the "
        "rightly labelled ones alone with balanced classes, *random* by exponential numbers. Recovery: (row − uniform) / "
        f"(oracle − uniform) of balanced accuracy, over cells where the gap is above {100 * GAP:g} points. Regret: "
        "points below the best fixed scheme of each cell. Ranks: among all rows but the oracle. Harmed: cells where a row "
        f"is more than {100 * HARM:g} points below uniform, beyond the interval. In brackets: 95 % of a paired bootstrap "
        "over cells and seeds."
    )
    sections = ["# What do weights gain?", introduction]
    for learner, score in scores.items():
        learner_rows = rows[rows["learner"] == learner]
        sections += [f"## {learner}", _describe_learner(learner_rows, score), render_scores(learner_rows, score)]
        if AUTO in score.rows:
            sections += ["### The automatic scheme", scenario_table(score.cells, AUTO), *_harm_section(score.cells, AUTO)]
        if score.left_out:
            sections += ["### Without a score", markdown_table(("row", "why"), sorted(score.left_out.items()))]
    return "\n\n".join(sections)


def _describe_learner(rows: pd.DataFrame, scores: StudyScores) -> str:
    kind = KINDS[str(rows["learner"].iloc[0])]
    each = rows.drop_duplicates(["set", "noise", "imbalance", "seed"])
    seconds = (each["seconds"] * rows.groupby(["set", "noise", "imbalance", "seed"]).size().mean()).mean()
    return (
        f"{kind.what[0].upper()}{kind.what[1:]}. Difficulty: `hs.measure(learner={kind.measure!r}, folds={FOLDS}, "
        f"repeats={kind.repeats})`. {scores.all} cells, {scores.wide} with a gap; {each['seconds_measure'].mean():.1f} CPU "
        f"seconds for the difficulty of a world and {seconds:.1f} for all rows."
    )


def render_scores(rows: pd.DataFrame, scores: StudyScores) -> str:
    """Return the table of all rows of one learner, best mean rank first."""
    mean = rows.groupby("row")[["balanced_accuracy", "accuracy", "log_loss", "worst_class", "ess"]].mean()
    head = ("row", "kind", "mean rank", "gap recovery", "points to uniform", "regret, points", "harmed", "balanced accuracy",
            "accuracy", "log-loss", "worst class", "effective size")  # fmt: skip
    kinds = rows.groupby("row")["how"].first()
    cells = []
    for name, score in scores.rows.items():
        means = mean.loc[name]
        cells.append(
            (
                name,
                kinds[name],
                _format_interval(score.rank, ".1f"),
                _format_interval(score.recovery, ".2f"),
                _format_interval(score.difference, "+.1f", 100),
                _format_interval(score.regret, ".1f", 100),
                str(score.harmed),
                *(f"{means[each]:.3f}" for each in ("balanced_accuracy", "accuracy", "log_loss", "worst_class")),
                format_or_dash(float(mean["ess"][name]), ".0%"),
            )
        )
    return markdown_table(head, cells)


def _format_interval(interval: Interval, spec: str, factor: float = 1) -> str:
    if not math.isfinite(interval.mean):
        return "–"
    mean, low, high = (format(factor * value, spec) for value in interval)
    return f"{mean} ({low} … {high})"


def scenario_table(cells: pd.DataFrame, name: str) -> str:
    """Return the table of one row by noise and imbalance: means over sets."""
    keys = ["noise", "imbalance"]
    score = {each: group.groupby(keys, sort=False)["score"].mean() for each, group in cells.groupby("row")}
    group = cells[cells["row"] == name].groupby(keys, sort=False)
    worst, recovery, harmed = group["difference"].min(), group["recovery"].mean(), group["harmed"].sum()
    best = best_fixed(cells).groupby(keys, sort=False)["score"].mean()
    head = (*keys, "uniform", "best fixed of each cell", name, "oracle", "gap recovery", "worst set, points to uniform",
            "harmed")  # fmt: skip
    lines = [
        (
            *map(str, key),
            *(f"{each[key]:.3f}" for each in (score["uniform"], best, score[name], score["oracle"])),
            format_or_dash(recovery[key], ".2f"),
            f"{100 * worst[key]:+.1f}",
            str(harmed[key]),
        )
        for key in worst.index
    ]
    return markdown_table(head, lines)


def _harm_section(cells: pd.DataFrame, name: str) -> list[str]:
    harmed = cells[(cells["row"] == name) & cells["harmed"]].sort_values("difference")
    if harmed.empty:
        return ["It harms in no cell."]
    lines = [
        (
            *(str(row[key]) for key in ("set", "noise", "imbalance")),
            _format_interval(Interval(row["difference"], row["low"], row["high"]), "+.1f", 100),
        )
        for row in harmed.to_dict("records")
    ]
    return ["Where it harms:", markdown_table(("set", "noise", "imbalance", "points to uniform"), lines)]
