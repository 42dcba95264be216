"""Tables of the studies in Markdown."""

import math
import platform
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from hardsight.attribution.names import FACTORS, STRANGE
from hardsight_bench.corruptions import KINDS
from hardsight_bench.factor_yardsticks import INTERVENTIONS, Yardsticks, share_in_right_line
from hardsight_bench.factors import DETECTED, RARE_SHARE, REASONS, SHARE, Study
from hardsight_bench.ranks import Ranking
from hardsight_bench.speed import Case, Growth, Timing

# The score that represents hardsight in the studies, the same for all sets and kinds.
OURS = "hardness (50)"


def describe_machine() -> str:
    """Describe the software and threads of a timing."""
    return f"{torch.get_num_threads()} threads; Python {platform.python_version()}, torch {torch.__version__}."


def speed_section(case: Case, rows: Iterable[Timing], peak: float) -> str:
    """Return the section on one case of :mod:`hardsight_bench.speed`."""
    head = ("way", "seconds", "times as fast", "sample-epochs a second", "GFLOP/s", "of peak", "log-loss", "Spearman")
    cells = [
        (
            row.way,
            f"{row.seconds:.3f}",
            f"{row.ratio:.1f}",
            format_or_dash(row.visits_per_second, ",.0f"),
            format_or_dash(row.gflops, ".1f"),
            format_or_dash(row.gflops / peak, ".1%"),
            f"{row.log_loss:.4f}",
            f"{row.spearman:.4f}",
        )
        for row in rows
    ]
    return f"## {case.title}\n\n{case.what}\n\n{markdown_table(head, cells)}"


def growth_section(growths: Iterable[Growth]) -> str:
    """Return the section on the growth of the time; every ratio is to the previous size."""
    head = ("what grows", "sizes", "seconds", "times the time of the size before")
    cells = [
        (
            each.what,
            " → ".join(f"{value:,}" for value in each.values),
            " → ".join(f"{seconds:.2f}" for seconds in each.seconds),
            ", ".join(f"{after / before:.2f}" for before, after in zip(each.seconds, each.seconds[1:], strict=False)),
        )
        for each in growths
    ]
    return f"## Growth\n\nPerceptrons; one size is doubled twice while the others stay.\n\n{markdown_table(head, cells)}"


def measures_page(rows: pd.DataFrame, ranking: Ranking) -> str:
    """Return the page of the study of measures."""
    kinds = list(ranking.by_kind.columns)
    middle = (len(ranking.mean) + 1) / 2
    shares = ", ".join(f"{share:g}" for share in sorted(rows["share"].unique()))
    introduction = (
        f"{rows['set'].nunique()} data sets ({', '.join(rows['set'].unique())}), {len(kinds)} kinds of hardness, shares "
        f"{shares}, {rows['seed'].nunique()} seeds; {len(ranking.mean)} measures, ranked by average precision (AUPRC, hard "
        "samples are the positives) in every set, kind and share, mean over seeds. The number in brackets is that of the "
        "trainings (without the pilot's); all costs are those of a measure alone, though measures that need the same "
        "trainings share them. Seconds are CPU seconds, the median over cells."
    )
    test = (
        f"Friedman test over {ranking.blocks} pairs of a set and a kind: p = {ranking.p:.2g}. Mean ranks that differ by "
        f"less than {ranking.distance:.1f} cannot be told apart (Nemenyi, 5 %). The middle of the field is rank {middle:g}."
    )
    by_kind = ((str(name), *(f"{rank:.1f}" for rank in row)) for name, row in ranking.by_kind.iterrows())
    sections = ["# Which measure finds hard samples?", introduction, test, "## All measures", _overall_table(rows, ranking)]
    sections += [f"## Where `{OURS}` stands", _hardsight_table(rows, ranking, middle)]
    sections += ["## Mean ranks by kind", markdown_table(("measure", *kinds), by_kind)]
    return "\n\n".join([*sections, *_fault_section(rows)])


def _overall_table(rows: pd.DataFrame, ranking: Ranking) -> str:
    mean = rows.groupby("measure")[["auroc", "auprc", "lift", "precision", "stability"]].mean()
    # The first cell of a process also imports and compiles.
    seconds = rows.groupby("measure")["seconds"].median()
    trainings = rows.groupby("measure")["trainings"].max()
    head = ("measure", "of", "trainings", "seconds", "mean rank", "worst kind", "AUROC", "AUPRC", "lift", "precision at n",
            "stability")  # fmt: skip
    cells = []
    for name in ranking.mean.index:
        row, worst = mean.loc[name], ranking.by_kind.loc[name]
        cells.append(
            (
                name,
                ranking.by[name],
                str(trainings[name]),
                f"{seconds[name]:.2f}",
                f"{ranking.mean[name]:.1f}",
                f"{worst.max():.1f} ({worst.idxmax()})",
                *(format_or_dash(row[each], ".3f") for each in ("auroc", "auprc")),
                format_or_dash(row["lift"], ".1f"),
                *(format_or_dash(row[each], ".3f") for each in ("precision", "stability")),
            )
        )
    return markdown_table(head, cells)


def _hardsight_table(rows: pd.DataFrame, ranking: Ranking, middle: float) -> str:
    if OURS not in ranking.by_kind.index:
        return f"`{OURS}` lacks a score in some cell."
    cells = []
    for kind in map(str, ranking.by_kind.columns):
        ranks = ranking.by_kind[kind]
        auprc = rows[rows["kind"] == kind].groupby("measure")["auprc"].mean()
        best = str(ranks.idxmin())
        place = int((ranks < ranks[OURS]).sum()) + 1
        cells.append(
            (
                kind,
                KINDS[kind].what,
                f"{ranks[OURS]:.1f}",
                f"{place} of {len(ranks)}",
                "yes" if ranks[OURS] <= middle else "**no**",
                f"{auprc[OURS]:.3f}",
                f"{best} ({ranks[best]:.1f}; {auprc[best]:.3f})",
            )
        )
    return markdown_table(("kind", "what is made hard", "mean rank", "place", "in the upper half", "AUPRC", "first"), cells)


_RATERS = ("entropy", "entropy_within", "minority", "minority_within")


def humans_page(rows: pd.DataFrame) -> str:
    """Return the page of the study of human raters."""
    introduction = (
        "Texts that 15 to 29 people rated, as sentence embeddings. Left: Spearman correlation of each score with the "
        "entropy of the raters' votes and with the share of votes against the majority, over all samples and within "
        "classes (mean by size), where the label given is the majority's. So few raters tell either with noise: the "
        "ceiling is what a perfect measure could reach (halves of the raters, Spearman and Brown, square root). Right: "
        "AUROC and AUPRC for finding wrong labels where the label given is that of one rater, drawn at random: real "
        f"noise, with the majority as the truth. Means of {rows['seed'].nunique()} seeds."
    )
    sections = ["# Is what models find hard what people disagree on?", introduction]
    for name in rows["set"].unique():
        sections += [f"## {name}", *_rated_section(rows[rows["set"] == name])]
    return "\n\n".join([*sections, *_fault_section(rows)])


def _rated_section(rows: pd.DataFrame) -> list[str]:
    mean = rows.groupby("measure")[[*_RATERS, "auroc", "auprc"]].mean().sort_values("entropy", ascending=False)
    first = rows.groupby("measure")[["by", "trainings"]].first().astype(str)
    ceilings = rows[["entropy_ceiling", "minority_ceiling"]].mean()
    head = ("measure", "of", "trainings", "entropy", "of the ceiling", "within classes", "minority", "within classes",
            "AUROC", "AUPRC")  # fmt: skip
    cells = []
    for measure in map(str, mean.index):
        numbers = [format_or_dash(float(mean[each][measure]), ".3f") for each in (*_RATERS, "auroc", "auprc")]
        numbers.insert(1, format_or_dash(float(mean["entropy"][measure] / ceilings["entropy_ceiling"]), ".0%"))
        cells.append((measure, first["by"][measure], first["trainings"][measure], *numbers))
    caption = (
        f"Ceilings: entropy {ceilings['entropy_ceiling']:.3f}, minority {ceilings['minority_ceiling']:.3f}. "
        f"{rows['wrong'].mean():.1%} of one rater's labels are wrong."
    )
    return [caption, markdown_table(head, cells)]


def factors_page(study: Study) -> str:
    """Return the page of the study of the ledger."""
    separation, causes = study.separation, study.causes
    matching = separation[separation["line"] == separation["factor"]]
    introduction = (
        f"{separation['set'].nunique()} data sets, {separation['seed'].nunique()} seeds. In every world a third of the "
        f"classes are cut to {RARE_SHARE:.0%}, and {SHARE:.0%} of the samples each are mislabelled, blends of two classes, "
        "and strange. AUROC of each line for the samples of each factor against *all* others, the other hard ones "
        "included; means."
    )
    matrix = separation.groupby(["line", "factor"])["auroc"].mean().unstack()
    rows = [(term, *(f"{matrix[f][term]:.3f}" for f in FACTORS)) for term in (*FACTORS, "p_wrong")]
    sections = ["# Which factor?", introduction, "## Lines against factors", markdown_table(("line", *FACTORS), rows)]
    each = matching.groupby(["set", "strange", "factor"], sort=False)["auroc"].mean().unstack()
    f1 = causes.groupby(["set", "strange"], sort=False)["f1"].mean()
    cells = [(*map(str, at), *(f"{each[f][at]:.3f}" for f in FACTORS), f"{f1[at]:.3f}") for at in each.index]
    sections += ["## The right line, set by set"]
    sections += [markdown_table(("set", "strange samples", *FACTORS, "macro-F1 of cause"), cells)]
    by_set = matching.groupby(["set", "factor"], sort=False)["auroc"].mean().unstack()
    means = [("mean over sets", *(f"{by_set[f].mean():.3f}" for f in FACTORS), f"{f1.groupby('set').mean().mean():.3f}")]
    sections += [markdown_table(("", *FACTORS, "macro-F1 of cause"), means)]
    counts = np.sum(causes["counts"].to_list(), axis=0).reshape(len(REASONS), len(DETECTED))
    shares = [
        (reason, *(f"{n:,}" for n in row), f"{_count_right(reason, row) / row.sum():.0%}")
        for reason, row in zip(REASONS, counts, strict=True)
    ]
    caption = (
        "Injected reasons (rows) against detected causes (columns), samples of all worlds. Data sets have hard samples of "
        "their own, which count as none here."
    )
    sections += ["## What the cause says", caption, markdown_table(("injected", *DETECTED, "right"), shares)]
    return "\n\n".join([*sections, *_calibration_section(study.calibration)])


def _count_right(reason: str, row: np.ndarray) -> int:
    """Return how many samples of an injected reason have that cause; strange ones may have it in either word."""
    names = (reason, STRANGE) if reason == "uncertainty" else (reason,)
    return int(sum(row[DETECTED.index(name)] for name in names))


def yardsticks_page(result: Yardsticks) -> str:
    """Return the page of the yardsticks of the ledger."""
    introduction = (
        f"{result.planted['set'].nunique()} data sets, {result.planted['seed'].nunique()} seeds. Four questions "
        "that the lines should answer, each by a yardstick of its own. Networks without a pilot or a second round."
    )
    sections = ["# Do the lines mean what they say?", introduction, *_interventions_section(result.interventions)]
    posterior = result.posteriors.groupby("generator", sort=False)[["margin", "margin_ceiling", "uncertainty"]].mean()
    caption = (
        "2,000 samples of known density. Spearman correlation of margin with 1 - max p (and that of the exact log-loss of "
        "the drawn label, which limits any account of the error of one label), and of uncertainty with the members' mean "
        "divergence from the posterior."
    )
    cells = [
        (str(name), *(f"{value:.3f}" for value in row))
        for name, row in zip(posterior.index, posterior.to_numpy(), strict=True)
    ]
    sections += ["## Is margin ambiguity, and uncertainty ignorance?", caption]
    sections += [markdown_table(("density", "margin", "limit", "uncertainty"), cells)]
    if len(result.raters):
        raters = result.raters.groupby(["line", "set"], sort=False)["within"].mean().unstack()
        rows = [(str(line), *(f"{value:.3f}" for value in raters.loc[line])) for line in raters.index]
        sections += [
            "## Is margin what people disagree on?",
            "Spearman correlation with the entropy of the votes, within classes.",
        ]
        sections += [markdown_table(("line", *map(str, raters.columns)), rows)]
    caption = (
        "AUROC of each line for the planted samples of its factor, against the samples of other factors and clean ones that "
        "the models get right. Clean samples that they get wrong count as unknown. Uncertainty also among samples whose "
        "error exceeds log 2."
    )
    sections += [
        "## Does each line tell its factor from the others?",
        caption,
        _set_table(result.planted, "factor", "auroc"),
    ]
    return "\n\n".join(sections)


def _interventions_section(movements: pd.DataFrame) -> list[str]:
    moved = movements.groupby(["intervention", "line"], sort=False)["movement"].mean().unstack(sort=False)
    rows = [
        (str(name), *(f"{value:+.3f}" for value in row)) for name, row in zip(moved.index, moved.to_numpy(), strict=True)
    ]
    caption = (
        "One cause is made stronger: a fifth of the samples mislabelled, blended with another class, or given noise on all "
        "features; a third of the classes cut to 12%; half of the data left out. Mean movement of each line in nats, and of "
        "P(strange), over the samples concerned; below, the share of all movement that is a rise of the right line."
    )
    shares = share_in_right_line(movements)
    shares["intervention"] = [f"{name} → {INTERVENTIONS[name]}" for name in shares["intervention"]]
    return [
        "## Which line moves?",
        caption,
        markdown_table(("intervention", *map(str, moved.columns)), rows),
        _set_table(shares, "intervention", "share"),
    ]


def _set_table(rows: pd.DataFrame, by: str, value: str) -> str:
    """Return a table of mean values: a row per value of ``by``, a column per set, and the mean over sets."""
    each = rows.groupby([by, "set"], sort=False)[value].mean().unstack(sort=False)
    cells = [(str(name), *(format_or_dash(cell, ".3f") for cell in each.loc[name]), f"{each.loc[name].mean():.3f}")
             for name in each.index]  # fmt: skip
    return markdown_table((by, *map(str, each.columns), "mean"), cells)


def _calibration_section(rows: pd.DataFrame) -> list[str]:
    mean = rows.groupby(["set", "kind", "share"], sort=False)[["ece", "precision_p_wrong", "precision_error"]].mean()
    whole = rows.groupby(["kind", "share"], sort=False)[["ece", "precision_p_wrong", "precision_error"]].mean()
    kinds = list(whole.index)
    cells = []
    for name in [*rows["set"].unique(), None]:
        of = [whole.loc[kind] if name is None else mean.loc[(name, *kind)] for kind in kinds]
        entries = (f"{row['ece']:.3f}; {row['precision_p_wrong']:.3f} / {row['precision_error']:.3f}" for row in of)
        cells.append(("mean" if name is None else str(name), *entries))
    caption = (
        "Mislabelling alone. Expected calibration error of P(label wrong), ten bins of equal width; then average precision "
        "of P(label wrong) / of the error for the wrong labels."
    )
    return ["## Is P(label wrong) calibrated?", caption, markdown_table(("set", *(f"{k} {s:.0%}" for k, s in kinds)), cells)]


def _fault_section(rows: pd.DataFrame) -> list[str]:
    faults = rows[rows["fault"] != ""].groupby(["measure", "fault"], as_index=False).size()
    if faults.empty:
        return []
    cells = [(str(row["measure"]), str(row["size"]), str(row["fault"])) for row in faults.to_dict("records")]
    return ["## Without a score", markdown_table(("measure", "cells", "why"), cells)]


def format_or_dash(value: float, form: str) -> str:
    """Format the number; a dash if it is not finite."""
    return format(value, form) if math.isfinite(value) else "–"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
