"""Formatting of values for pages and the terminal: untrusted text made printable, numbers at a readable length."""

import datetime
import math
import re
import unicodedata
from typing import Any

# Control characters are replaced by their Unicode symbols (U+2400 and on), which can neither hide nor break anything.
_SYMBOLS = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
# Few fonts have the symbols of line breaks and tabs, which are common in texts.
_LINE = _SYMBOLS | {0x09: " ", 0x0A: " ↵ ", 0x0D: " ↵ "}
_TEXT = {code: symbol for code, symbol in _SYMBOLS.items() if chr(code) not in "\n\t"}
_LEFT_TO_RIGHT = {"L", "EN", "ES", "ET", "CS", "NSM", "WS", "ON", ""}
_NAME_PARTS = re.compile(r"(?<=[_\-./\\])(?=[^_\-./\\])|(?<=[a-z])(?=[A-Z])")
_SURROGATES = re.compile("[\ud800-\udfff]")

LOSSES = {
    "log": "log-loss",
    "brier": "Brier score",
    "zero-one": "0-1 loss",
    "squared": "squared error",
    "per-token log": "log-loss per token",
    "sequence log": "log-loss of all tokens",
    "own": "loss",
}
UNITS = {
    "log": "nats",
    "brier": "squared probability",
    "zero-one": "share of views wrong",
    "squared": "squared units",
    "per-token log": "nats per token",
    "sequence log": "nats",
}


def replace_surrogates(text: str) -> str:
    r"""Replace every half of a surrogate pair, which UTF-8 cannot hold, by a mark.

    >>> replace_surrogates("a\ud800")
    'a\ufffd'
    """
    return _SURROGATES.sub("\ufffd", text)


def format_line(value: Any, longest: int = 200) -> str:
    r"""Format any value as one printable line.

    >>> format_line("a\r\nb\t\0"), format_line("abcdef", 4)
    ('a ↵ b ␀', 'abc…')
    """
    # Cut before translating: a value may be a whole document.
    text = str(value)[: longest + 1].replace("\r\n", "\n")
    text = text.removesuffix(" 00:00:00") if isinstance(value, datetime.datetime) else text
    return shorten(_SURROGATES.sub("\ufffd", text).translate(_LINE), longest)


def format_class(name: Any, longest: int) -> str:
    """Format the name of a class as one line, in quotes if blanks at its ends would not be seen.

    >>> format_class("cat", 20), format_class("cat ", 20), format_class(3, 20)
    ('cat', "'cat '", '3')
    """
    has_blanks = isinstance(name, str) and name != name.strip()
    return format_line(f"'{name}'" if has_blanks else name, longest)


def break_name(name: str) -> list[str]:
    """Return the parts of a name between which a line may break: after ``_ - . /`` and before a capital in mixed case.

    >>> break_name("annual_incomeJoint"), break_name("img-01/a.png"), break_name("__x__")
    (['annual_', 'income', 'Joint'], ['img-', '01/', 'a.', 'png'], ['__', 'x__'])
    """
    return _NAME_PARTS.split(name)


def format_text(value: Any) -> str:
    r"""Format any value as printable text that keeps its lines and tabs.

    >>> format_text("a\r\nb\0")
    'a\nb␀'
    """
    lines = str(value).replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", lines).translate(_TEXT)


def shorten(text: str, longest: int) -> str:
    """Cut a text to ``longest`` characters, with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def format_number(value: Any, digits: int = 3) -> str:
    """Format a number to ``digits`` significant digits, with a true minus sign; a dash if it is None or NaN.

    >>> [format_number(value) for value in (0.012345, -1234567.0, float("nan"), 0.0, 2)]
    ['0.0123', '−1.23e6', '–', '0', '2']
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or (float(value).is_integer() and abs(value) < 10**6):
        return f"{int(value):,}".replace("-", "−")
    if 1e-4 <= abs(value) < 10**6:
        text = f"{value:,.{_decimals(value, digits)}f}"
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(value))))


def format_error(value: float, error: float) -> str:
    """Format a standard error with no more decimals than its value has; nothing if it is unknown.

    >>> [format_error(*each) for each in ((9.592, 0.2041), (9.592, 0.00017), (3676.2, 534.8), (0.5, float("nan")))]
    ['0.20', '0.00', '535', '']
    """
    if not math.isfinite(error):
        return ""
    if not 1e-4 <= abs(value) < 10**6 or error >= 10**6:
        return format_number(error, 2)
    return f"{error:,.{min(_decimals(value, 3), _decimals(max(error, 1e-4), 2))}f}"


def isolate_direction(text: str) -> str:
    r"""Put a text with a right-to-left part between marks that keep its direction from the words around it.

    >>> isolate_direction("abc"), isolate_direction("\u05d0")
    ('abc', '\u2068א\u2069')
    """
    right_to_left = any(unicodedata.bidirectional(character) not in _LEFT_TO_RIGHT for character in text)
    return f"\u2068{text}\u2069" if right_to_left else text


def format_value(value: float, digits: int = 5) -> str:
    """Format a number of the data itself to ``digits`` significant digits, without trailing zeros.

    Four digits are not grouped: they may be a year.

    >>> format_value(2.5), format_value(-1200000.0), format_value(1e-9), format_value(float("inf"))
    ('2.5', '−1.2e6', '1e−9', '∞')
    >>> format_value(2001.0), format_value(20010.0)
    ('2001', '20,010')
    """
    mantissa, _, exponent = format_number(value, digits).partition("e")
    if abs(value) < 10_000:
        mantissa = mantissa.replace(",", "")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + (f"e{exponent}" if exponent else "")


def format_chance(p: float) -> str:
    """Format a probability with two digits, or as a bound near 0 and 1, because none is certain; a dash if unknown.

    >>> [format_chance(p) for p in (0.842, 0.9991, 0.001, float("nan"))]
    ['0.84', '> 0.99', '< 0.01', '–']
    """
    if math.isnan(p):
        return "–"
    return "> 0.99" if p > 0.99 else "< 0.01" if p < 0.01 else f"{p:.2f}"


def format_share(part: float, whole: float) -> str:
    r"""Format a part of a whole in percent, with non-breaking spaces.

    >>> [format_share(*each).replace("\u00a0", " ") for each in ((3, 40), (0, 5), (1, 100_000))]
    ['7.5 %', '0 %', '< 0.1 %']
    """
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<\u00a00.1\u00a0%"
    return f"{percent:.1f}\u00a0%" if percent % 100 else f"{percent:.0f}\u00a0%"


def format_percent(part: float) -> str:
    """Format a share of one in percent; a dash if it is unknown.

    >>> format_percent(0.125).replace("\u00a0", " "), format_percent(float("nan"))
    ('12.5 %', '–')
    """
    return "–" if math.isnan(part) else format_share(part, 1)


def format_count(count: int, noun: str) -> str:
    """Format a count with its noun.

    >>> format_count(1, "sample"), format_count(1797, "sample"), format_count(2, "class")
    ('1 sample', '1,797 samples', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else pluralize(noun)}"


def pluralize(noun: str) -> str:
    """Return the regular plural of a noun.

    >>> pluralize("token"), pluralize("box")
    ('tokens', 'boxes')
    """
    return f"{noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"
