"""Errors of units and digits that turn a true number into another. This module imports neither torch nor scipy."""

from typing import NamedTuple


class Conversion(NamedTuple):
    """An error that turns a true value into ``factor * value + offset``."""

    name: str
    factor: float
    offset: float = 0.0


_INCH, _POUND = 2.54, 0.45359237
_FACTORS = {"10": 10.0, "100": 100.0, "1,000": 1000.0, "2.54": _INCH, "2.205": 1 / _POUND}
CONVERSIONS = (
    *(Conversion(f"{text} × too high", factor) for text, factor in _FACTORS.items()),
    *(Conversion(f"{text} × too low", 1 / factor) for text, factor in _FACTORS.items()),
    Conversion("wrong sign", -1.0),
    Conversion("°F for °C", 1.8, 32.0),
    Conversion("°C for °F", 1 / 1.8, -32 / 1.8),
)
KINDS = (*(each.name for each in CONVERSIONS), "digit lost", "digit doubled")
# In place of a kind, for targets without such an error.
NO_ERROR = ""
