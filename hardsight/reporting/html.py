"""Parts that all pages share: templates, style sheets, the script of charts, content policy and embedded data."""

import hashlib
import json
import re
from base64 import b64encode
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from hardsight.reporting import summary
from hardsight.reporting.formatting import (
    LOSSES,
    UNITS,
    break_name,
    format_count,
    format_error,
    format_number,
    format_percent,
)

_REPORT = "reporting/report"
# Stands in the head of the report and of the review page.
_CONTENT = re.compile(rb'<meta name="hardsight-samples" content="(\w+)">')
_MAX_HEAD = 2**14


@cache
def template_environment(folder: str) -> jinja2.Environment:
    """Return the strict, escaping environment of the templates in a folder of the package."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("hardsight", folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


@cache
def report_environment(folder: str = _REPORT) -> jinja2.Environment:
    """Return the same environment, with filters that format numbers and counts."""
    environment = template_environment(folder)
    environment.filters |= {
        "number": format_number, "percent": format_percent, "plural": format_count, "spread": format_error,
        "breakable": _mark_breaks
    }  # fmt: skip
    environment.globals |= {"LOSSES": LOSSES, "UNITS": UNITS, "MEANING": summary.MEANINGS}
    return environment


def _mark_breaks(name: str) -> Markup:
    """Return a name that a page may break at its word parts."""
    return Markup("<wbr>").join(break_name(name))


@cache
def page_script() -> str:
    """Return one script of Vega, Vega-Lite and Vega-Embed, in the versions that altair writes for, and our own lines."""
    code = vl_convert.javascript_bundle(read_asset("page.js"), alt.SCHEMA_VERSION.rpartition(".")[0])
    # The two strings that could end or confuse a script element can only stand inside JavaScript strings.
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def read_asset(name: str, folder: str = _REPORT) -> str:
    """Return a file of a folder of the package as text."""
    return files("hardsight").joinpath(folder, name).read_text(encoding="utf-8")


def find_content(path: Path) -> str:
    """Return what kind of samples a page of this package shows, such as "image"; an empty string if it shows none."""
    try:
        with path.open("rb") as file:
            start = file.read(_MAX_HEAD)
    except OSError:
        return ""
    match = _CONTENT.search(start)
    return "" if match is None else match[1].decode()


def content_policy(script: str, *more: str) -> str:
    """Return a content security policy that admits only this script, nothing from the network and no evaluated text.

    The browser then enforces what escaping promises: no string in the data can run, and nothing can leave the page.

    Args:
        script: the script's text.
        more: further directives; ``img-src`` is "data:" if none of them names it.
    """
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    images = () if any(each.startswith("img-src") for each in more) else ("img-src data:",)
    directives = (f"script-src 'sha256-{digest}'", "style-src 'unsafe-inline'", *images, *more)
    return "; ".join(("default-src 'none'", *directives, "base-uri 'none'", "form-action 'none'"))


def embed_json(value: Any) -> Markup:
    """Return JSON that may stand inside a script element: characters that could end it, or a line of it, are escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above
