"""The page: everything that was found, put into the template and written as one file."""

import hashlib
import json
from base64 import b64encode
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import numpy as np
import vl_convert
from markupsafe import Markup

from hardsight import __version__
from hardsight.attribution.names import FACTORS
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.reporting import summary
from hardsight.reporting.formatting import (
    LOSSES,
    UNITS,
    format_count,
    format_error,
    format_line,
    format_number,
    format_percent,
    format_share,
)
from hardsight.reporting.report import figures
from hardsight.reporting.report.examples import example_cards
from hardsight.reporting.report.outlier_values import ROWS_TO_JUDGE

HARDEST_SHOWN = 60


def write(difficulty: Difficulty, path: str | Path, samples: Samples | None = None, review: str | None = None) -> None:
    """Write one self-contained HTML page on a result; it opens offline.

    Args:
        difficulty: the result.
        path: where to.
        samples: the measured samples, to show the hardest as what they are; found by id, in any order.
        review: where the page for reviewing lies, seen from this one; a link leads there.

    Raises:
        InputError: the path cannot be written, ``samples`` lack an id of ``difficulty`` or have other labels, or there is
            nothing to show.
    """
    page = render(difficulty, samples, review=review)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render(
    d: Difficulty, samples: Samples | None = None, hardest: int = HARDEST_SHOWN, review: str | None = None
) -> str:
    """The page as text; see :func:`write`."""
    if not len(d):
        raise InputError("a result with no sample has nothing to report: select at least one")
    script = page_script()
    charts: dict[str, alt.Chart | alt.LayerChart] = {"histogram": figures.histogram(d)}
    if len(figures.plotted_samples(d)):
        charts["bias-variance"] = figures.bias_variance(d)
    if d.factors is not None:
        charts["ledger"] = figures.ledger(d)
        charts["ledger-by-cause"] = figures.ledger_by_cause(d)
    if d.transition is not None and len(d.transition) <= figures.MATRIX_CLASSES:
        charts["transition"] = figures.transition(d)
    source = d.settings.get("source")
    groups = summary.summarize_groups(d)
    return (
        report_environment()
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=content_policy(script),
            style=Markup(read_asset("theme.css") + read_asset("page.css")),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704 - our own file and the bundle
            charts=embed_json({name: chart.to_dict() for name, chart in charts.items()}),
            has=set(charts),
            review=review,
            about=_about(d),
            subject=format_line(source, 120) if source else format_count(len(d), "sample"),
            lead=summary.describe_measurement(d),
            reason=format_line(d.settings.get("reason", ""), 400),
            facts=summary.key_figures(d),
            notices=[format_line(notice, 1000) for notice in d.settings.get("notices", [])],
            findings=summary.findings(d),
            groups=groups[: summary.CLASS_ROWS],
            groups_left_out=max(0, len(groups) - summary.CLASS_ROWS),
            numbered=figures.NUMBERED_CLASSES,
            highest=max((group.error for group in groups), default=0.0),
            causes=summary.summarize_causes(d),
            confusions=summary.largest_confusions(d),
            rates=summary.summarize_noise_rates(d)[: summary.CLASS_ROWS],
            factors=FACTORS if d.factors is not None else (),
            regression=d.regression,
            loss_only=d.loss_only,
            loss=summary.loss(d),
            label_name=format_line(d.settings.get("label_name", "label"), 60),
            exhibits=example_cards(d, samples, hardest),
            kind=None if samples is None else "text" if samples.kind == "items" else samples.kind,
            judged=samples is not None and len(samples) >= ROWS_TO_JUDGE,
            scale=_scale(samples),
            has_p_wrong=d.p_wrong is not None,
            has_suggested=d.suggested is not None,
            has_noise=d.noise_variance is not None,
            one_view=int(d.n_views.max()) < 2,
            settings=[
                (format_line(name, 60), format_line(_plain(value), 600))
                for name, value in d.settings.items()
                if name != "notices"
            ],
        )
    )


def _about(d: Difficulty) -> dict[str, Any]:
    """What captions say of the figures."""
    error = d.error[np.isfinite(d.error)]
    middle, high = np.quantile(error, [0.5, 0.95]) if len(error) else (np.nan, np.nan)
    chance = summary.chance_level(d)
    points, known = len(figures.plotted_samples(d)), int(np.isfinite(d.variance).sum())
    return {
        "median": format_number(middle),
        "high": format_number(high),
        "chance": None if chance is None else f"{chance.words} = {format_number(chance.error)}",
        "above_chance": 0 if chance is None else int((error > chance.error).sum()),
        "share_above": "" if chance is None else format_share(int((error > chance.error).sum()), len(d)),
        "points": f"{points:,}",
        "hardest_points": f"{figures.HARDEST_POINTS:,}",
        "thinned": points < known,
        "unknown_variance": len(d) - known,
        "ledger_classes": min(figures.LEDGER_CLASSES, len(np.unique(d.labels))),
        "ledger_thinned": len(np.unique(d.labels)) > figures.LEDGER_CLASSES,
    }


def _scale(samples: Samples | None) -> str:
    if samples is None or samples.kind != "image" or np.asarray(samples.features).dtype == np.uint8:
        return ""
    return "Brightness runs from the smallest to the largest value of the whole set."


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@cache
def template_environment(folder: str) -> jinja2.Environment:
    """What templates in a folder of ours are rendered by: escaping, and strict."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("hardsight", folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


@cache
def report_environment(package: str = "reporting/report") -> jinja2.Environment:
    """The same, with numbers and counts in words."""
    made = template_environment(package)
    made.filters |= {"number": format_number, "percent": format_percent, "plural": format_count, "spread": format_error}
    made.globals |= {"LOSSES": LOSSES, "UNITS": UNITS, "MEANING": summary.MEANINGS}
    return made


@cache
def page_script() -> str:
    """Vega, Vega-Lite and Vega-Embed, of the version that altair writes for, and our own lines, as one script."""
    code = vl_convert.javascript_bundle(read_asset("page.js"), alt.SCHEMA_VERSION.rpartition(".")[0])
    # The two strings that could end or confuse a script element can only stand inside JavaScript strings.
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def read_asset(name: str, folder: str = "reporting/report") -> str:
    """A file of a folder of ours, as text."""
    return files("hardsight").joinpath(folder, name).read_text(encoding="utf-8")


def content_policy(script: str, *more: str) -> str:
    """A content policy that admits this very script, nothing from the network and no evaluated text.

    The browser then holds what escaping promises: a string in the data cannot run, nor can anything leave the page.

    Args:
        script: the script's text.
        more: directives in addition; ``img-src`` is "data:" where none of them names it.
    """
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    images = () if any(each.startswith("img-src") for each in more) else ("img-src data:",)
    directives = (f"script-src 'sha256-{digest}'", "style-src 'unsafe-inline'", *images, *more)
    return "; ".join(("default-src 'none'", *directives, "base-uri 'none'", "form-action 'none'"))


def embed_json(value: Any) -> Markup:
    """JSON that may stand inside a script element: what could end it, or a line of it, is written as an escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above
