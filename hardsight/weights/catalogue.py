"""All schemes of the library, loaded from ``hardsight.weights.schemes``, and the search for one by name."""

from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules

from hardsight.errors import InputError
from hardsight.weights import schemes
from hardsight.weights.scheme import SCHEMES, Scheme


def load_schemes() -> None:
    """Import every module of the schemes, which registers them, and sort them by module, then by definition."""
    for module in iter_modules(schemes.__path__, f"{schemes.__name__}."):
        import_module(module.name)
    # Modules import each other, so the order of registration is not that of their names.
    rows = sorted(SCHEMES.values(), key=lambda row: row.function.__module__)
    SCHEMES.clear()
    SCHEMES.update({row.name: row for row in rows})


def get_scheme(name: str) -> Scheme:
    """Return the scheme of that name.

    Raises:
        InputError: there is none; names the nearest.
    """
    if not isinstance(name, str):
        value = name if name is None else type(name).__name__
        raise InputError(f"scheme must be the name of a scheme, such as 'superloss'. Got {value}")
    if name not in SCHEMES:
        near = get_close_matches(name, SCHEMES, 3, 0.5)
        advice = f"do you mean {' or '.join(map(repr, near))}?" if near else "hardsight schemes lists them"
        raise InputError(f"there is no scheme {name!r}: {advice}")
    return SCHEMES[name]


load_schemes()
