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
from hardsight.reporting.report.page import template_environment
from hardsight.theory import formatting as words
from hardsight.theory.claim import Claim
from hardsight.theory.figures import svg

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write(claims: Sequence[Claim], path: str | Path, *, seed: int = 0, full: bool = False) -> None:
    """Write the page.

    Args:
        claims: what was tested, families together.
        path: where to.
        seed: of the run.
        full: whether it was the full set.

    Raises:
        InputError: there is no claim, or the path cannot be written.
    """
    page = render(claims, seed=seed, full=full)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def draw(claims: Sequence[Claim], folder: Path) -> None:
    """Write the figure of each claim as ``NAME.svg``.

    Args:
        claims: what was tested.
        folder: is there.

    Raises:
        InputError: the folder cannot be written.
    """
    for claim in claims:
        with atomic_write(folder / f"{claim.name}.svg") as temporary:
            temporary.write_text(svg(claim.figure, claim.figure.note or claim.name), encoding="utf-8", newline="\n")


def render(claims: Sequence[Claim], *, seed: int = 0, full: bool = False) -> str:
    """The page as text; see :func:`write`."""
    if not claims:
        raise InputError("no claim was tested, so there is nothing to show: name at least one")
    families = [(name, list(rows)) for name, rows in groupby(claims, key=lambda claim: claim.family)]
    # Charts are drawn from our own numbers and names; nothing of a user's stands in them.
    drawn = {claim.name: Markup(svg(claim.figure, claim.figure.note or claim.name)) for claim in claims}  # noqa: S704
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=_POLICY,
            families=families,
            drawn=drawn,
            lead=words.lead(claims),
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
    environment.filters |= {"number": words.number, "interval": words.interval}
    return environment
