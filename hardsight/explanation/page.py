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
from hardsight.reporting.html import content_policy, embed_json, page_script, read_asset, report_environment

GROUP_ROWS = 60
_PROBABLY_RIGHT, _AS_GIVEN = "labels that are probably right", "labels as given"
_MEASURES = ("clean balanced accuracy", "clean accuracy", "clean loss", "accuracy", "loss")
# Without a ledger, clean numbers equal the raw ones.
_RAW_MEASURES = ("clean balanced accuracy", "accuracy", "loss")


def write_page(explanation: Explanation, path: str | Path) -> None:
    """Write the page.

    Raises:
        InputError: the path cannot be written.
    """
    page = render_page(explanation)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render_page(explanation: Explanation) -> str:
    """Return the page as text."""
    script = page_script()
    charts: dict[str, alt.LayerChart] = {}
    parts = [_part(explanation, name, index, charts) for index, name in enumerate(explanation.names)]
    settings, dynamics = explanation.settings, explanation.dynamics
    if dynamics is not None:
        drawers = {
            "training": figures.draw_training_loss,
            "gradients": figures.draw_gradient_shares,
            "turning": figures.draw_angle,
        }
        charts |= {name: draw(dynamics) for name, draw in drawers.items()}
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
            lead=_lead(explanation),
            facts=_facts(explanation),
            notices=[format_line(notice, 1000) for notice in settings["notices"]],
            parts=parts,
            dynamics=None if dynamics is None else _dynamics_section(dynamics, explanation.names),
            ledger=explanation.forecast is not None,
            measured=explanation.effects is not None,
            labels=_PROBABLY_RIGHT if _has_ledger(explanation) else _AS_GIVEN,
            target=TARGETS[settings["target"]],
            margin=format_number(settings["margin"]),
            warning=WARNING,
        )
    )


def _dynamics_section(dynamics: TrainingDynamics, names: Sequence[str]) -> dict[str, Any]:
    """Return the section on training dynamics: one row per set of weights, and notes on how to read them."""
    rows = [
        {"name": format_line(row["weights"], 40)}
        | {key: format_number(row[key]) for key in ("kl", "angle", "angle_uniform", "margin_share", "time", "network_loss")}
        | {"wrong": format_percent(row["network_wrong"])}
        for row in dynamics.summary.to_dict("records")
    ]
    return {
        "rows": rows,
        "descriptions": [(format_line(name, 60), describe_training(dynamics, name)) for name in names],
        "separable": dynamics.dual.separable,
        "features": format_line(dynamics.features, 300),
        "network": format_line(dynamics.network, 300),
        "notes": [note[:1].upper() + note[1:] + "." for note in dynamics.notes],
    }


def _lead(explanation: Explanation) -> str:
    names = ", ".join(format_line(name, 40) for name in explanation.names[:4]) + (
        " and others" if len(explanation.names) > 4 else ""
    )
    if explanation.effects is None:
        return f"Derived from the difficulty and the weights alone ({names}); no model was trained with the weights."
    return (
        f"{format_count(explanation.settings['pairs'], 'model')} trained without weights, and as many with each of: "
        f"{names}. The models of a pair share their samples, seeds and batches, and differ only in the weights."
    )


def _facts(explanation: Explanation) -> list[tuple[str, str]]:
    settings = explanation.settings
    pairs: list[tuple[str, Any]] = [
        ("Samples", f"{settings['samples']:,}"),
        ("Learner", settings["learner"]),
        ("Pairs of models", settings.get("pairs")),
        ("Splits", settings.get("splits")),
        ("Seed", settings["seed"]),
    ]
    return [(name, format_line(value, 80)) for name, value in pairs if value is not None]


def _part(explanation: Explanation, name: str, index: int, charts: dict[str, alt.LayerChart]) -> dict[str, Any]:
    """Return the section on one set of weights; its figures are added to ``charts``."""
    overview = _select(explanation.overview, name).iloc[0]
    effects = None if explanation.effects is None else _select(explanation.effects, name)
    forecast = None if explanation.forecast is None else _select(explanation.forecast, name)
    charts[f"weights-{index}"] = figures.draw_weight_by_decile(_select(explanation.shares, name))
    drawn = []
    table = effects if effects is not None else forecast
    for by in ("class", "cause", "decile"):
        if table is not None and (table["by"] == by).any():
            charts[f"{by}-{index}"] = figures.draw_effect(effects, forecast, by)
            drawn.append(by)
    largest = _select(explanation.largest, name)
    return {
        "name": format_line(name, 60),
        "index": index,
        "text": explanation.texts[name],
        "verdict": _select(explanation.verdicts, name).iloc[0],
        "facts": _weight_facts(overview),
        "drawn": drawn,
        "measures": [] if effects is None else _measures(effects, has_ledger=_has_ledger(explanation)),
        "groups": _groups(_select(explanation.shares, name), forecast, effects),
        "largest": [
            {"id": format_line(row["id"], 40), "label": format_line(row["label"], 30), "cause": row.get("cause", "–")}
            | {"weight": format_number(row["weight"]), "error": format_number(row["error"])}
            for row in largest.to_dict("records")
        ],
        "bound": [] if explanation.bound is None else _select(explanation.bound, name).to_dict("records"),
    }


def _select(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["weights"] == name]


def _weight_facts(overview: pd.Series) -> list[tuple[str, str]]:
    noise_share = overview["noise_share"]
    pairs = [
        ("Priority", str(overview["priority"])),
        ("Worth", f"{overview['effective']:,.0f} of {overview['samples']:,} samples"),
        ("chi²", format_number(overview["chi2"])),
        ("Largest weight", format_number(overview["largest"])),
        ("Spearman with error", format_number(overview["spearman"])),
    ]
    if not np.isnan(noise_share):
        pairs.append(
            ("On wrong labels", f"{format_share(noise_share, 1)} (of {format_share(overview['noise_share_without'], 1)})")
        )
    return pairs


def _has_ledger(explanation: Explanation) -> bool:
    return explanation.difficulty.p_wrong is not None


def _measures(effects: pd.DataFrame, *, has_ledger: bool) -> list[dict[str, str]]:
    all_samples = effects[effects["by"] == "all"].set_index("measure")
    rows = []
    for measure in _MEASURES if has_ledger else _RAW_MEASURES:
        if measure in all_samples.index:
            row = all_samples.loc[measure].to_dict()
            cells = {key: _format_value(float(row[key]), measure) for key in ("without", "with")}
            cells |= {key: _format_change(float(row[key]), measure) for key in ("difference", "low", "high")}
            labels = _PROBABLY_RIGHT if has_ledger and measure.startswith("clean") else _AS_GIVEN
            rows.append({"name": measure.removeprefix("clean "), "labels": labels, "outcome": str(row["outcome"]), **cells})
    return rows


def _format_value(value: float, measure: str) -> str:
    return format_share(value, 1) if "accuracy" in measure and not np.isnan(value) else format_number(value)


def _format_change(value: float, measure: str) -> str:
    """Format a change; differences of shares are in percentage points."""
    if "accuracy" not in measure or np.isnan(value):
        return format_number(value)
    return f"{100 * value:+.1f}".replace("-", "−")


def _groups(shares: pd.DataFrame, forecast: pd.DataFrame | None, effects: pd.DataFrame | None) -> list[dict[str, str]]:
    """Return the rows of classes and causes: weight, forecast and effect."""
    rows = shares[shares["by"].isin(["class", "cause"])]
    forecast_rows = {} if forecast is None else {(r["by"], r["group"]): r for r in forecast.to_dict("records")}
    clean = None if effects is None else effects[effects["measure"] == "clean loss"]
    effect_rows = {} if clean is None else {(r["by"], r["group"]): r for r in clean.to_dict("records")}
    result = []
    for row in rows.head(GROUP_ROWS).to_dict("records"):
        key = (row["by"], row["group"])
        expected, effect = forecast_rows.get(key), effect_rows.get(key)
        result.append(
            {
                "by": row["by"],
                "name": format_line(row["group"], 40),
                "samples": f"{row['samples']:,}",
                "weight": format_number(row["mean_weight"]),
                "share": format_share(row["weight_share"], 1),
                "expected": "–" if expected is None else str(expected["expected"]),
                "difference": "–" if effect is None else format_number(effect["difference"]),
                "interval": "" if effect is None else f"{format_number(effect['low'])} to {format_number(effect['high'])}",
                "outcome": "–" if effect is None else str(effect["outcome"]),
            }
        )
    return result
