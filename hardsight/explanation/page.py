"""The page of an explanation: one self-contained file that opens offline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from markupsafe import Markup

from hardsight import __version__
from hardsight.explanation import figures
from hardsight.explanation.margin_bound import TARGETS, WARNING
from hardsight.explanation.optimization.dynamics import TrainingDynamics
from hardsight.explanation.optimization.text import describe_training
from hardsight.explanation.result import Explanation
from hardsight.io.atomic import atomic_write
from hardsight.reporting.formatting import format_count, format_line, format_number, format_percent, format_share
from hardsight.reporting.report.page import content_policy, embed_json, page_script, read_asset, report_environment

GROUP_ROWS = 60
_RIGHT, _GIVEN = "labels that are probably right", "labels as given"
_MEASURES = ("clean balanced accuracy", "clean accuracy", "clean loss", "accuracy", "loss")
# Where no label can be doubted, clean numbers are the raw ones.
_RAW = ("clean balanced accuracy", "accuracy", "loss")


def write_page(found: Explanation, path: str | Path) -> None:
    """Write the page.

    Raises:
        InputError: the path cannot be written.
    """
    page = render_page(found)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render_page(found: Explanation) -> str:
    """The page as text."""
    script = page_script()
    charts: dict[str, alt.LayerChart] = {}
    parts = [_part(found, name, number_, charts) for number_, name in enumerate(found.names)]
    settings, course = found.settings, found.dynamics
    if course is not None:
        drawn = {"training": figures.training, "gradients": figures.gradients, "turning": figures.turning}
        charts |= {name: draw(course) for name, draw in drawn.items()}
    return (
        report_environment("explanation")
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=content_policy(script),
            style=Markup(read_asset("theme.css") + read_asset("page.css")),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704 - our own file and the bundle
            charts=embed_json({name: chart.to_dict() for name, chart in charts.items()}),
            subject=format_count(settings["samples"], "sample"),
            lead=_lead(found),
            facts=_facts(found),
            notices=[format_line(notice, 1000) for notice in settings["notices"]],
            parts=parts,
            course=None if course is None else _course(course, found.names),
            ledger=found.forecast is not None,
            measured=found.effects is not None,
            labels=_RIGHT if _doubted(found) else _GIVEN,
            target=TARGETS[settings["target"]],
            margin=format_number(settings["margin"]),
            warning=WARNING,
        )
    )


def _course(course: TrainingDynamics, names: Sequence[str]) -> dict[str, Any]:
    """How training goes: a row a weights, and what must be known to read it."""
    rows = [
        {"name": format_line(row["weights"], 40)}
        | {
            key: format_number(row[key])
            for key in ("kl", "angle", "angle_uniform", "margin_share", "time", "network_loss")
        }
        | {"wrong": format_percent(row["network_wrong"])}
        for row in course.summary.to_dict("records")
    ]
    return {
        "rows": rows,
        "accounts": [(format_line(name, 60), describe_training(course, name)) for name in names],
        "separable": course.dual.separable,
        "features": format_line(course.features, 300),
        "network": format_line(course.network, 300),
        "notes": [note[:1].upper() + note[1:] + "." for note in course.notes],
    }


def _lead(found: Explanation) -> str:
    names = ", ".join(format_line(name, 40) for name in found.names[:4]) + (
        " and others" if len(found.names) > 4 else ""
    )
    if found.effects is None:
        return f"Told from the difficulty and the weights alone ({names}); no model was trained with the weights."
    return (
        f"{format_count(found.settings['pairs'], 'model')} trained without weights, and as many with each of: {names}. The "
        "models of a pair share their samples, seeds and batches, and differ by the weights alone."
    )


def _facts(found: Explanation) -> list[tuple[str, str]]:
    settings = found.settings
    pairs: list[tuple[str, Any]] = [
        ("Samples", f"{settings['samples']:,}"),
        ("Learner", settings["learner"]),
        ("Pairs of models", settings.get("pairs")),
        ("Splits", settings.get("splits")),
        ("Seed", settings["seed"]),
    ]
    return [(name, format_line(value, 80)) for name, value in pairs if value is not None]


def _part(found: Explanation, name: str, at: int, charts: dict[str, alt.LayerChart]) -> dict[str, Any]:
    """All that the page says of one weights; its figures go into ``charts``."""
    overview = _of(found.overview, name).iloc[0]
    effects = None if found.effects is None else _of(found.effects, name)
    forecast = None if found.forecast is None else _of(found.forecast, name)
    charts[f"weights-{at}"] = figures.weight_by_decile(_of(found.shares, name))
    drawn = []
    table = effects if effects is not None else forecast
    for by in ("class", "cause", "decile"):
        if table is not None and (table["by"] == by).any():
            charts[f"{by}-{at}"] = figures.effect(effects, forecast, by)
            drawn.append(by)
    largest = _of(found.largest, name)
    return {
        "name": format_line(name, 60),
        "at": at,
        "text": found.texts[name],
        "verdict": _of(found.verdicts, name).iloc[0],
        "facts": _weight_facts(overview),
        "drawn": drawn,
        "measures": [] if effects is None else _measures(effects, doubted=_doubted(found)),
        "groups": _groups(_of(found.shares, name), forecast, effects),
        "largest": [
            {"id": format_line(row["id"], 40), "label": format_line(row["label"], 30), "cause": row.get("cause", "–")}
            | {"weight": format_number(row["weight"]), "error": format_number(row["error"])}
            for row in largest.to_dict("records")
        ],
        "bound": [] if found.bound is None else _of(found.bound, name).to_dict("records"),
    }


def _of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["weights"] == name]


def _weight_facts(overview: pd.Series) -> list[tuple[str, str]]:
    wrong = overview["noise_share"]
    pairs = [
        ("Priority", str(overview["priority"])),
        ("Worth", f"{overview['effective']:,.0f} of {overview['samples']:,} samples"),
        ("chi²", format_number(overview["chi2"])),
        ("Largest weight", format_number(overview["largest"])),
        ("Spearman with error", format_number(overview["spearman"])),
    ]
    if not np.isnan(wrong):
        pairs.append(
            ("On wrong labels", f"{format_share(wrong, 1)} (of {format_share(overview['noise_share_without'], 1)})")
        )
    return pairs


def _doubted(found: Explanation) -> bool:
    return found.difficulty.p_wrong is not None


def _measures(effects: pd.DataFrame, *, doubted: bool) -> list[dict[str, str]]:
    everything = effects[effects["by"] == "all"].set_index("measure")
    rows = []
    for measure in _MEASURES if doubted else _RAW:
        if measure in everything.index:
            row = everything.loc[measure].to_dict()
            told = {key: _told(float(row[key]), measure) for key in ("without", "with")}
            told |= {key: _change(float(row[key]), measure) for key in ("difference", "low", "high")}
            labels = _RIGHT if doubted and measure.startswith("clean") else _GIVEN
            rows.append(
                {"name": measure.removeprefix("clean "), "labels": labels, "outcome": str(row["outcome"]), **told}
            )
    return rows


def _told(value: float, measure: str) -> str:
    return format_share(value, 1) if "accuracy" in measure and not np.isnan(value) else format_number(value)


def _change(value: float, measure: str) -> str:
    """Differences of shares are in points of a hundred."""
    if "accuracy" not in measure or np.isnan(value):
        return format_number(value)
    return f"{100 * value:+.1f}".replace("-", "−")


def _groups(shares: pd.DataFrame, forecast: pd.DataFrame | None, effects: pd.DataFrame | None) -> list[dict[str, str]]:
    """Classes and causes: weight, forecast and effect."""
    rows = shares[shares["by"].isin(["class", "cause"])]
    told = {} if forecast is None else {(r["by"], r["group"]): r for r in forecast.to_dict("records")}
    clean = None if effects is None else effects[effects["measure"] == "clean loss"]
    found = {} if clean is None else {(r["by"], r["group"]): r for r in clean.to_dict("records")}
    made = []
    for row in rows.head(GROUP_ROWS).to_dict("records"):
        key = (row["by"], row["group"])
        expected, effect = told.get(key), found.get(key)
        made.append(
            {
                "by": row["by"],
                "name": format_line(row["group"], 40),
                "samples": f"{row['samples']:,}",
                "weight": format_number(row["mean_weight"]),
                "share": format_share(row["weight_share"], 1),
                "expected": "–" if expected is None else str(expected["expected"]),
                "difference": "–" if effect is None else format_number(effect["difference"]),
                "interval": ""
                if effect is None
                else f"{format_number(effect['low'])} to {format_number(effect['high'])}",
                "outcome": "–" if effect is None else str(effect["outcome"]),
            }
        )
    return made
