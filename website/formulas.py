"""Formulas as MathML when the site is built, so that browsers show them without a script and without a network."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# latex2mathml draws bars over letters as stretchy, and browsers then as wide as the line.
_BAR = '<mo stretchy="true">&#x000AF;</mo>'
_NAMED = re.compile(r"<mi>(log|exp)</mi>(?!<mo[^>]*>&#x00028;)")
# More than a narrow screen has room for; lines within formulas cannot break.
_LONG = 40


def inline(tex: str) -> str:
    """Return a formula within a sentence as HTML."""
    kind = "formula long" if len(tex) > _LONG else "formula"
    return f'<span class="{kind}">{_fix_spacing(convert(tex))}</span>'


def block(tex: str) -> str:
    """Return a formula that stands alone as HTML."""
    return _fix_spacing(convert(tex, display="block"))


def _fix_spacing(mathml: str) -> str:
    """Make bars as wide as their letters, and set a thin space between the name of a function and its argument."""
    mathml = mathml.replace(_BAR, _BAR.replace("true", "false"))
    return _NAMED.sub(r'<mrow><mi>\1</mi><mspace width="0.167em"></mspace></mrow>', mathml)


def _visit_inline(writer: Any, node: nodes.Element) -> None:
    writer.body.append(inline(node.astext()))
    raise nodes.SkipNode


def _visit_block(writer: Any, node: nodes.Element) -> None:
    writer.body.append(block(node.astext()))
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
