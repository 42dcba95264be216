"""Every scheme, a row each. To add one: write its function and its row in the module of its family."""

from difflib import get_close_matches
from itertools import chain

from hardsight.errors import InputError
from hardsight.weights import automatic, self_paced
from hardsight.weights.core import Scheme

_FAMILIES = (automatic, self_paced)

SCHEMES: dict[str, Scheme] = {row.name: row for row in chain.from_iterable(family.ROWS for family in _FAMILIES)}


def scheme(name: str) -> Scheme:
    """The scheme of that name.

    Raises:
        InputError: there is none; names the nearest.
    """
    if name not in SCHEMES:
        near = get_close_matches(name, SCHEMES, 3, 0.5)
        meant = f"do you mean {' or '.join(map(repr, near))}?" if near else "hardsight schemes lists them"
        raise InputError(f"there is no scheme {name!r}: {meant}")
    return SCHEMES[name]
