"""The report page: charts, tables and cards of a result, rendered by the template and written as one file."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from markupsafe import Markup

from hardsight import __version__
from hardsight.attribution.names import FACTORS, STRANGE
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import group_by_class, has_several_labels
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.reporting import summary
from hardsight.reporting.answer import CLASSES, LABELS, ODD, TARGETS, KeyFigure, caution, key_figures
from hardsight.reporting.formatting import format_count, format_line, format_number, format_share
from hardsight.reporting.html import content_policy, embed_json, page_script, read_asset, report_environment
from hardsight.reporting.nouns import nouns_of
from hardsight.reporting.outlier_values import ROWS_TO_JUDGE
from hardsight.reporting.parts import PartsView
from hardsight.reporting.report import figures
from hardsight.reporting.report.examples import (
    align_samples,
    contents_of,
    example_cards,
    has_texts_of_parts,
    is_shown_as_text,
)
from hardsight.reporting.report.map_data import SCRIPTS, map_data

HARDEST_SHOWN = 60
COPY_SETS_SHOWN = 200
# The map is that of the review page.
_APP = "reporting/review/app"


def write(difficulty: Difficulty, path: str | Path, samples: Samples | None = None, review: str | None = None) -> None:
    """Write one self-contained HTML page on a result; it opens offline.

    Args:
        difficulty: the result.
        path: path of the page.
        samples: the measured samples, so that the page can show the hardest; matched by id, in any order.
        review: address of the review page, relative to this one, for a link.

    Raises:
        InputError: the path cannot be written, ``samples`` lack an id of ``difficulty`` or have other labels, or there is
            nothing to show.
    """
    page = render(difficulty, samples, review=review)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render(d: Difficulty, samples: Samples | None = None, hardest: int = HARDEST_SHOWN, review: str | None = None) -> str:
    """Return the page as text; see :func:`write`."""
    if not len(d):
        raise InputError("a result with no sample has nothing to report: select at least one")
    charts = _charts(d)
    aligned = None if samples is None else align_samples(d, samples)
    mapped = map_data(d, aligned, review)
    script = page_script() if mapped is None else f"{page_script()}\n{_map_script()}"
    template = report_environment().get_template("page.html.jinja")
    return template.render(
        version=__version__,
        policy=content_policy(script),
        style=Markup(read_asset("theme.css") + read_asset("page.css") + read_asset("map.css", _APP)),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704 - our own files and the bundle
        map=mapped,
        map_about=None if mapped is None else embed_json(mapped.about),
        charts=embed_json({name: chart.to_dict() for name, chart in charts.items()}),
        has=set(charts),
        review=review,
        content="" if samples is None else contents_of(samples).samples.kind,
        nouns=nouns_of(d),
        by_sample=[] if d.sample is None else PartsView(d, aligned).list_samples(),
        **_header(d, review),
        **_tables(d),
        **_hardest(d, samples, hardest),
        regression=d.regression,
        loss_only=d.loss_only,
        loss=d.run.loss,
        settings=_settings(d),
        total=len(d),
    )


@cache
def _map_script() -> str:
    parts = [*(read_asset(f"{name}.js", _APP) for name in SCRIPTS), read_asset("map.js")]
    return "(() => {\n" + "\n".join(parts) + "\n})();"


def _charts(d: Difficulty) -> dict[str, alt.Chart | alt.LayerChart]:
    charts: dict[str, alt.Chart | alt.LayerChart] = {"histogram": figures.histogram(d)}
    if len(figures.plotted_samples(d)):
        charts["bias-variance"] = figures.bias_variance(d)
    if d.ledger is not None:
        charts["ledger"] = figures.ledger(d)
        charts["ledger-by-cause"] = figures.ledger_by_cause(d)
    if d.transition is not None and len(d.transition) <= figures.MATRIX_CLASSES:
        charts["transition"] = figures.transition(d)
    return charts


class _Card(NamedTuple):
    """A number of the answer with the button below it."""

    figure: KeyFigure
    button: str
    target: str  # address of the button


def _answer_cards(d: Difficulty, review: str | None) -> list[_Card]:
    """Return the numbers to look at first; buttons lead to the review page if there is one, else to a section."""
    rows = nouns_of(d).rows
    buttons = {
        LABELS: ("Review these labels", "#order=p_wrong"),
        TARGETS: ("Review these targets", "#order=p_outlier"),
        ODD: (f"Review these {rows}", f"#cause={STRANGE}" if d.cause is not None else "#order=p_strange"),
    }
    cards = []
    for figure in key_figures(d):
        if figure.topic == CLASSES:
            cards.append(_Card(figure, "See the classes", "#groups"))
        elif review is None:
            cards.append(_Card(figure, f"See the hardest {rows}", "#hardest"))
        else:
            button, state = buttons.get(figure.topic, (f"Review the {rows}", ""))
            cards.append(_Card(figure, button, review + state))
    return cards


def _header(d: Difficulty, review: str | None) -> dict[str, Any]:
    return {
        "answer": _answer_cards(d, review),
        "caution": caution(d),
        "subject": subject(d),
        "lead": summary.describe_measurement(d),
        "reason": format_line(d.run.reason, 400),
        "facts": summary.measurement_facts(d),
        "notices": [format_line(notice, 1000) for notice in d.run.notices],
        "findings": summary.findings(d),
        "about": _captions(d),
        "label_name": format_line(d.run.label_name, 60),
    }


def subject(d: Difficulty) -> str:
    """Return what was measured: the name of the file, or the number of samples."""
    return format_line(d.run.source, 120) if d.run.source else format_count(len(d), nouns_of(d).row)


def _tables(d: Difficulty) -> dict[str, Any]:
    groups = summary.summarize_groups(d)
    return {
        "by_label": has_several_labels(d),
        "groups": groups[: summary.CLASS_ROWS],
        "groups_left_out": max(0, len(groups) - summary.CLASS_ROWS),
        "highest": max((group.error for group in groups), default=0.0),
        "causes": summary.summarize_causes(d),
        "confusions": summary.largest_confusions(d),
        "rates": summary.summarize_noise_rates(d)[: summary.CLASS_ROWS],
        "numbered": figures.NUMBERED_CLASSES,
        "factors": FACTORS if d.ledger is not None else (),
        "forecast": _forecast(d),
        "copies": summary.summarize_copies(d, COPY_SETS_SHOWN),
        "has_p_wrong": d.p_wrong is not None,
        "has_suggested": d.suggested is not None,
        "has_noise": d.noise_variance is not None,
        "one_view": int(d.n_views.max()) < 2,
    }


def _forecast(d: Difficulty) -> dict[str, Any] | None:
    """Return what changing every label as advised is expected to do, as a sentence and by class; None if none is advised."""
    forecast = summary.forecast_suggestions(d)
    if forecast is None or not forecast.total["relabelled"]:
        return None
    table = forecast.table[forecast.table["relabelled"] > 0].sort_values("relabelled", ascending=False, kind="stable")
    table = table.head(summary.CLASS_ROWS)
    rows = [{"name": format_line(name, 80), **row} for name, row in zip(table.index, table.to_dict("records"), strict=True)]
    return {"text": forecast.describe(), "rows": rows}


def _hardest(d: Difficulty, samples: Samples | None, count: int) -> dict[str, Any]:
    return {
        "cards": example_cards(d, samples, count),
        "kind": _kind_of_cards(samples),
        "judged": samples is not None and len(contents_of(samples).samples) >= ROWS_TO_JUDGE,
        "scale": _brightness_note(samples),
    }


def _kind_of_cards(samples: Samples | None) -> str | None:
    if samples is None:
        return None
    shown = contents_of(samples).samples
    return "text" if is_shown_as_text(shown) or has_texts_of_parts(samples) else shown.kind


def _captions(d: Difficulty) -> dict[str, Any]:
    """Return the numbers in the captions of the figures."""
    error = d.error[np.isfinite(d.error)]
    median, high = np.quantile(error, [0.5, 0.95]) if len(error) else (np.nan, np.nan)
    chance = summary.chance_level(d)
    above_chance = 0 if chance is None else int((error > chance.error).sum())
    points, known = len(figures.plotted_samples(d)), int(np.isfinite(d.variance).sum())
    classes = len(np.unique(d.labels if d.classes is None else group_by_class(d).codes))
    return {
        "median": format_number(median),
        "high": format_number(high),
        "chance": None if chance is None else f"{chance.text} = {format_number(chance.error)}",
        "above_chance": above_chance,
        "share_above": "" if chance is None else format_share(above_chance, len(d)),
        "points": f"{points:,}",
        "hardest_points": f"{figures.HARDEST_POINTS:,}",
        "thinned": points < known,
        "unknown_variance": len(d) - known,
        "ledger_classes": min(figures.LEDGER_CLASSES, classes),
        "ledger_thinned": classes > figures.LEDGER_CLASSES,
    }


def _brightness_note(samples: Samples | None) -> str:
    samples = None if samples is None else contents_of(samples).samples
    if samples is None or samples.kind != "image" or np.asarray(samples.features).dtype == np.uint8:
        return ""
    return "Brightness runs from the smallest to the largest value of the whole set."


def _settings(d: Difficulty) -> list[tuple[str, str]]:
    """Return all settings but the notices as (name, value)."""
    values = {name: value for name, value in d.settings.items() if name != "notices"}
    return [
        (format_line(name, 60), format_line(value if isinstance(value, str) else _to_json(value), 600))
        for name, value in values.items()
    ]


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
