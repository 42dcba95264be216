"""Values that differ only in their spelling: case, blanks, invisible characters, composed and wide letters."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.conversion import object_array

# Characters of a width or a font of their own stand for the plain ones; superscripts and fractions do not.
_PLAIN_FORMS = ("<wide>", "<narrow>", "<font>", "<noBreak>", "<compat>")
_MAX_EXAMPLES = 3


class _Variants(NamedTuple):
    """The spellings of one value, the most frequent one first, with the number of samples of each."""

    spellings: tuple[object, ...]
    counts: tuple[int, ...]


def normalize_spelling(text: str, *, ignore_case: bool = True) -> str:
    r"""Return a form of a text that does not depend on blanks, invisible characters, case, or how letters are encoded.

    >>> normalize_spelling(" Ｃafe\u0301\u00a0 au\u200b  lait") == "caf\u00e9 au lait"
    True
    """
    if not (text.isascii() and text.isprintable()):
        plain = "".join(map(_plain_form, text))
        text = unicodedata.normalize("NFC", plain)
    text = " ".join(text.split())
    return unicodedata.normalize("NFC", text.casefold()) if ignore_case else text


def _plain_form(character: str) -> str:
    category = unicodedata.category(character)
    # Invisible, such as a zero-width space or a soft hyphen; or a control character that is no blank.
    if category == "Cf" or (category == "Cc" and not character.isspace()):
        return ""
    if unicodedata.decomposition(character).split(" ", 1)[0] in _PLAIN_FORMS:
        return unicodedata.normalize("NFKC", character)
    return character


def check_spellings(values: np.ndarray, what: str, *, merge: bool | None) -> tuple[np.ndarray, list[str]]:
    """Find values that differ only in their spelling.

    Args:
        values: labels or groups, ``(sample,)`` of any type without missing values.
        what: what the values are, for the notice.
        merge: whether to replace each by its most frequent spelling; None if that is not possible.

    Returns:
        The values, and a notice if there are such spellings.
    """
    if values.dtype.kind not in "OU":
        return values, []
    codes, distinct = pd.factorize(values.astype(object))
    variants = _find_variants(list(distinct), np.bincount(codes, minlength=len(distinct)))
    if not variants:
        return values, []
    examples = "; ".join(map(_describe, variants[:_MAX_EXAMPLES])) + ("; …" if len(variants) > _MAX_EXAMPLES else "")
    if not merge:
        notice = f"{what} that differ only in case, blanks or the encoding of letters count as different: {examples}."
        advice = " To merge them, pass merge_spellings=True (--merge-spellings)."
        return values, [notice if merge is None else notice + advice]
    replaced = {spelling: each.spellings[0] for each in variants for spelling in each.spellings[1:]}
    merged = object_array([replaced.get(value, value) for value in distinct])
    return merged[codes], [f"{what} were merged into their most frequent spelling: {examples}."]


def unique_spellings(names: Iterable[str]) -> dict[str, str]:
    """Return names by their plain form, without those that share one: their spellings were not merged."""
    by_form: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        by_form.setdefault(normalize_spelling(name), []).append(name)
    return {plain: same[0] for plain, same in by_form.items() if len(same) == 1}


def describe_similar_ids(ids: np.ndarray) -> list[str]:
    """Return a notice of ids that differ only in blanks, invisible characters or the encoding of letters.

    Args:
        ids: unique, ``(sample,)``.
    """
    if ids.dtype.kind != "U":
        return []
    # Of several spellings of an id, at most one is the plain one. Plain ids are not collected: there may be millions.
    odd = {str(value) for value in ids if _is_odd(str(value))}
    plain = {normalize_spelling(value, ignore_case=False) for value in odd}
    similar: list[object] = [value.item() for value in ids if value in odd or value in plain] if odd else []
    variants = _find_variants(similar, np.ones(len(similar), dtype=np.int64), ignore_case=False)
    if not variants:
        return []
    examples = "; ".join(", ".join(_quote_all(each.spellings)) for each in variants[:_MAX_EXAMPLES])
    return [f"Ids that differ only in blanks or the encoding of letters count as different samples: {examples}."]


def _find_variants(distinct: list[object], counts: np.ndarray, *, ignore_case: bool = True) -> list[_Variants]:
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(distinct):
        rows.setdefault(normalize_spelling(str(value), ignore_case=ignore_case), []).append(row)
    variants = []
    for same in rows.values():
        if len(same) > 1:
            # Of equally frequent spellings, the one without blanks and odd characters.
            order = sorted(same, key=lambda row: (-counts[row], _is_odd(str(distinct[row])), str(distinct[row])))
            variants.append(_Variants(tuple(distinct[row] for row in order), tuple(int(counts[row]) for row in order)))
    return variants


def _is_odd(text: str) -> bool:
    return normalize_spelling(text, ignore_case=False) != text


def _describe(variants: _Variants) -> str:
    return ", ".join(
        f"{name} ({count})" for name, count in zip(_quote_all(variants.spellings), variants.counts, strict=True)
    )


def _quote_all(spellings: tuple[object, ...]) -> list[str]:
    """Quote spellings; those that look alike on a screen are written with escapes."""
    looks = [unicodedata.normalize("NFC", repr(value)) for value in spellings]
    return [ascii(value) if looks.count(look) > 1 else repr(value) for value, look in zip(spellings, looks, strict=True)]
