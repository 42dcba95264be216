"""The page of a run: every claim with its figure, as one file that opens offline."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup

from hardsight import __version__
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.reporting.html import template_environment
from hardsight.theory import formatting
from hardsight.theory.claim import Claim
from hardsight.theory.figures import draw_svg

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write_page(claims: Sequence[Claim], path: str | Path, *, seed: int = 0, full: bool = False) -> None:
    """Write the page.

    Args:
        claims: the tested claims, grouped by family.
        path: the file to write.
        seed: of the run.
        full: whether it was the full set.

    Raises:
        InputError: there are no claims, or the path cannot be written.
    """
    page = render_page(claims, seed=seed, full=full)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def write_figures(claims: Sequence[Claim], folder: Path) -> None:
    """Write the figure of each claim as ``NAME.svg``.

    Args:
        claims: the tested claims.
        folder: must exist.

    Raises:
        InputError: the folder cannot be written.
    """
    for claim in claims:
        with atomic_write(folder / f"{claim.name}.svg") as temporary:
            temporary.write_text(draw_svg(claim.figure, claim.figure.note or claim.name), encoding="utf-8", newline="\n")


def render_page(claims: Sequence[Claim], *, seed: int = 0, full: bool = False) -> str:
    """Return the page as text; see :func:`write_page`."""
    if not claims:
        raise InputError("no claim was tested: name at least one")
    families = [(name, list(rows)) for name, rows in groupby(claims, key=lambda claim: claim.family)]
    # Charts hold only our own numbers and names, no user input.
    figures = {claim.name: Markup(draw_svg(claim.figure, claim.figure.note or claim.name)) for claim in claims}  # noqa: S704
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=_POLICY,
            families=families,
            figures=figures,
            lead=formatting.summarise(claims),
            total=len(claims),
            failed=[claim for claim in claims if not claim.holds],
            kinds={kind: sum(claim.kind == kind for claim in claims) for kind in ("exact", "bound", "statistical")},
            seed=seed,
            full=full,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("theory")
    environment.filters |= {"number": formatting.format_number, "interval": formatting.format_interval}
    return environment
