"""Formulas as MathML when the site is built, so that browsers show them without a script and without a network."""

import re
from html import unescape

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">(?P<tex>.*?)</(?P=tag)>', re.DOTALL)
_EDGES = re.compile(r"^\\[(\[]|\\[)\]]$")
# latex2mathml draws bars over letters as stretchy, and browsers then as wide as the line.
_BAR = '<mo stretchy="true">&#x000AF;</mo>'
_NAMED = re.compile(r"<mi>(log|exp)</mi>(?!<mo[^>]*>&#x00028;)")
# More than a narrow screen has room for; lines within formulas cannot break.
_LONG = 40


def rendered(html: str) -> str:
    """The page with every formula that arithmatex found as MathML."""
    return _FORMULA.sub(_mathml, html)


def _mathml(formula: re.Match[str]) -> str:
    tex = _EDGES.sub("", unescape(formula["tex"]).strip()).strip()
    if formula["tag"] == "div":
        return _spaced(convert(tex, display="block"))
    kind = "formula long" if len(tex) > _LONG else "formula"
    return f'<span class="{kind}">{_spaced(convert(tex))}</span>'


def _spaced(mathml: str) -> str:
    """With bars as wide as their letters, and a thin space between the name of a function and what it is of."""
    mathml = mathml.replace(_BAR, _BAR.replace("true", "false"))
    return _NAMED.sub(r'<mrow><mi>\1</mi><mspace width="0.167em"></mspace></mrow>', mathml)
