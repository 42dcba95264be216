"""Text files of numbers with a decimal comma: in them, a dot stands between thousands."""

import pyarrow as pa
import pyarrow.compute as pc

from hardsight.validation import join_names

# Cells that are looked at to tell whether a column has a decimal comma.
_HEAD = 1000
_BLANKS = " \t"
_NUMBER = r"^([+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?)?$"
# 1,234 may have a comma between thousands; 1,2 and 0,234 and 1.234,567 may not.
_CERTAIN = r"^[+-]?((\d+|\d{1,3}(\.\d{3})+),(\d{1,2}|\d{4,})|(0|\d{4,}|\d{1,3}(\.\d{3})+),\d+)$"
_THOUSANDS = r"^([+-]?([1-9]\d{0,2}(\.\d{3})+|\d{1,3}))?$"
_WITH_COMMA = r"^[+-]?\d+,\d+$"


def find_decimal_comma(columns: list[pa.ChunkedArray]) -> bool:
    """Return whether some column of texts holds numbers that are written with a decimal comma beyond doubt."""
    for column in columns:
        head = pc.utf8_trim(column.slice(0, _HEAD), _BLANKS)
        certain = pc.any(pc.match_substring_regex(head, _CERTAIN)).as_py()
        if certain and pc.all(pc.match_substring_regex(head, _NUMBER)).as_py():
            return True
    return False


def rewrite_number(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return numbers with a point in place of a decimal comma, and without dots between thousands; None if there is neither.

    In another file, 1.234 would be a fraction, and 1,234 more than a thousand.
    """
    trimmed = pc.utf8_trim(texts, _BLANKS)
    if pc.all(pc.match_substring_regex(trimmed, _THOUSANDS)).as_py():
        return pc.replace_substring(trimmed, ".", "") if pc.any(pc.match_substring(trimmed, ".")).as_py() else None
    if not pc.any(pc.match_substring_regex(trimmed, _WITH_COMMA)).as_py():
        return None
    if not pc.all(pc.match_substring_regex(trimmed, _NUMBER)).as_py():
        return None
    return pc.replace_substring(pc.replace_substring(trimmed, ".", ""), ",", ".")


def describe_rewritten(names: list[str]) -> str:
    """Return a notice of the columns whose numbers were rewritten."""
    return f"Numbers have decimal commas, and dots between thousands: {join_names(names, 12)}."
