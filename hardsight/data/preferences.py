"""Preference data: pairs of which one was preferred to the other, as samples of two classes with symmetric noise.

A pair has no order of its own, so each is put into a random one: its features are the difference of the features of the
first and the second, and its label says which of the two was chosen. Half of the pairs have either label.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.alignment import check_indexes
from hardsight.data.columns import check_column_name, check_ids, encode_groups, encode_values, to_column
from hardsight.data.conversion import object_array, to_numpy, to_pandas
from hardsight.data.finite import check_finite
from hardsight.data.samples import Samples
from hardsight.errors import Faults, InputError
from hardsight.validation import describe_rows

# What the label of a pair is: which of the two is better. As given it is always the first.
CLASSES = ("chosen", "rejected")
_LABEL_NAME = "better"
# Positions of the preferred one in the random order.
_ORDER = ("second", "first")
_ROLES = ("chosen", "rejected")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs as samples.

    Attributes:
        samples: features are texts or differences, ``classes`` which of the two in random order was chosen.
        shown: the same samples with the label that every pair was given, "chosen", for results and pages.
    """

    samples: Samples
    shown: Samples


def read_pairs(
    chosen: Any,
    rejected: Any = None,
    *,
    prompts: Any = None,
    ids: Any = None,
    groups: Any = None,
    embedding: Any = "auto",
    seed: int = 0,
) -> Pairs:
    """Convert pairs; see :func:`hardsight.measure_preferences` for the arguments.

    Raises:
        InputError: data that cannot be used; as many faults as can be told are reported at once.
    """
    if rejected is None:
        chosen, rejected, prompts, ids, groups = _columns(to_pandas(chosen), prompts, ids, groups)
    pandas_sides = [to_pandas(side) for side in (chosen, rejected)]
    check_indexes(chosen=pandas_sides[0], rejected=pandas_sides[1], prompts=prompts, ids=ids, groups=groups)
    _check_same_columns(*pandas_sides)
    sides = [to_numpy(side) for side in pandas_sides]
    if all(isinstance(side, pd.DataFrame) or (isinstance(side, np.ndarray) and side.ndim == 2) for side in sides):
        texts = None
        vectors = [_numbers(side, role) for side, role in zip(sides, _ROLES, strict=True)]
        n = len(vectors[0])
        _check_lengths(n, {"rejected": vectors[1], "prompts": prompts, "ids": ids, "groups": groups})
        if vectors[0].shape != vectors[1].shape:
            raise InputError(f"chosen and rejected must have the same features: got {vectors[0].shape}, {vectors[1].shape}")
        if not isinstance(embedding, str) or embedding != "auto":
            raise InputError("chosen and rejected are numbers already: leave out embedding")
        equal = (vectors[0] == vectors[1]).all(axis=1)
    else:
        texts, prompts = _texts(sides, prompts, {"ids": ids, "groups": groups})
        n = len(texts[0])
        equal = np.array([a.strip() == b.strip() for a, b in zip(*texts, strict=True)])
    notices: list[str] = []
    names = np.arange(n) if ids is None else check_ids(ids, n)
    if equal.all():
        raise InputError("chosen and rejected are the same in every pair: pass pairs of which one is better")
    if equal.any():
        left_out = describe_rows(equal, names)
        notices.append(f"{int(equal.sum()):,} of {n:,} pairs are the same on both sides and were left out ({left_out}).")
    rows = np.flatnonzero(~equal)
    if texts is not None:
        vectors, more = _embed(texts, embedding)
        notices += more
        texts = [text[rows] for text in texts]
    vectors = [each[rows] for each in vectors]
    prompt_names = None if prompts is None else _prompt_texts(to_column(prompts, "prompts"))[rows]
    group_codes = encode_groups(groups, n)[rows] if groups is not None else _group(prompt_names, texts, vectors)
    return _as_samples(vectors, texts, prompt_names, names[rows], group_codes, tuple(notices), seed)


def _as_samples(
    vectors: list[np.ndarray],
    texts: list[np.ndarray] | None,
    prompts: np.ndarray | None,
    ids: np.ndarray,
    groups: np.ndarray,
    notices: tuple[str, ...],
    seed: int,
) -> Pairs:
    n = len(ids)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(5,)))
    # 1: the chosen one comes first. Half of the pairs, so that neither label is more frequent.
    label = rng.permutation(np.arange(n) % 2)
    difference = (vectors[0] - vectors[1]) * np.where(label == 1, 1, -1)[:, None]
    difference = difference.astype(np.float32)
    samples = Samples(
        features=difference if texts is None else _shown_texts(texts, prompts),
        labels=label.astype(np.int64),
        classes=_ORDER,
        ids=ids,
        kind="array" if texts is None else "text",
        groups=groups,
        embedding=None if texts is None else difference,
        label_name=_LABEL_NAME,
        symmetric_noise=True,
        notices=notices,
    )
    return Pairs(samples, replace(samples, labels=np.zeros(n, dtype=np.int64), classes=CLASSES))


def _columns(table: Any, prompts: Any, ids: Any, groups: Any) -> tuple[Any, ...]:
    """Return chosen, rejected, prompts, ids and groups, looked up in a table."""
    if not isinstance(table, pd.DataFrame):
        raise InputError("rejected is missing: pass both, or a table with the columns 'chosen' and 'rejected'")
    faults = Faults()
    for role in _ROLES:
        with faults.collect():
            check_column_name(table.columns, role, role)
    named = {"prompts": prompts, "ids": ids, "groups": groups}
    if prompts is None and "prompt" in table.columns:
        named["prompts"] = "prompt"
    for role, value in named.items():
        if isinstance(value, str):
            with faults.collect():
                named[role] = table[check_column_name(table.columns, value, role)]
    faults.raise_all()
    chosen, rejected = (object_array(table[role].tolist()) for role in _ROLES)
    return chosen, rejected, named["prompts"], named["ids"], named["groups"]


def _check_same_columns(chosen: Any, rejected: Any) -> None:
    """Raise if two frames have different columns, or the same in another order."""
    if not (isinstance(chosen, pd.DataFrame) and isinstance(rejected, pd.DataFrame)):
        return
    if chosen.shape[1] == rejected.shape[1] and list(chosen.columns) != list(rejected.columns):
        raise InputError("chosen and rejected must have the same columns in the same order: pass rejected[chosen.columns]")


def _numbers(side: Any, role: str) -> np.ndarray:
    try:
        array = np.asarray(side, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{role} must be texts, or numbers of shape (pair, feature)") from None
    # Features may be missing, as elsewhere; an encoder leaves none out.
    check_finite(role, array, allow_missing=array.ndim == 2 and role != "embedding")
    return array


def _check_lengths(n: int, columns: dict[str, Any]) -> None:
    faults = Faults()
    for name, values in columns.items():
        length = len(values) if hasattr(values, "__len__") and not isinstance(values, str) else 0
        if values is not None and length != n:
            faults.messages.append(f"{name} must have one value per pair: got {length:,} for {n:,} chosen")
    faults.raise_all()


def _texts(sides: list[Any], prompts: Any, others: dict[str, Any]) -> tuple[list[np.ndarray], Any]:
    """Return the texts of both sides, and the prompts; conversations become their last message and what comes before."""
    if any(isinstance(side, str) or not hasattr(side, "__iter__") for side in sides):
        raise InputError("chosen and rejected must be texts or arrays of numbers, one per pair")
    columns = [object_array(list(side)) for side in sides]
    n = len(columns[0])
    _check_lengths(n, {"rejected": columns[1], "prompts": prompts, **others})
    if not n:
        raise InputError("there is no pair: pass chosen and rejected")
    if prompts is None and all(_is_conversation(value) for value in columns[0]):
        before = object_array([_conversation_text(value[:-1]) for value in columns[0]])
        prompts = before if any(before) else None
    faults, texts = Faults(), []
    for column, role in zip(columns, _ROLES, strict=True):
        values = [_conversation_text(value[-1:]) if _is_conversation(value) else value for value in column]
        invalid = np.array([not isinstance(value, str) or not value.strip() for value in values])
        if invalid.any():
            example = values[int(np.argmax(invalid))]
            faults.messages.append(
                f"{role} must be text, and not empty, in every pair. Got {str(example)[:40]!r} ({describe_rows(invalid)}): "
                "leave these pairs out"
            )
        texts.append(object_array(values))
    faults.raise_all()
    return texts, prompts


def _is_conversation(value: Any) -> bool:
    """Return whether a value is a list of messages, ``{"role": …, "content": …}``."""
    return (
        isinstance(value, list | tuple | np.ndarray)
        and len(value) > 0
        and all(isinstance(message, dict) and isinstance(message.get("content"), str) for message in value)
    )


def _conversation_text(messages: Any) -> str:
    return "\n\n".join(message["content"] for message in messages)


def _prompt_texts(column: np.ndarray) -> np.ndarray:
    return object_array([_conversation_text(value) if _is_conversation(value) else str(value) for value in column])


def _embed(texts: list[np.ndarray], embedding: Any) -> tuple[list[np.ndarray], list[str]]:
    """Return the numbers of both sides, ``(pair, feature)``, and notices."""
    n = len(texts[0])
    if isinstance(embedding, tuple | list) and len(embedding) == 2:
        vectors = [_numbers(to_numpy(to_pandas(each)), "embedding") for each in embedding]
        if vectors[0].shape != vectors[1].shape or vectors[0].ndim != 2 or len(vectors[0]) != n:
            raise InputError(
                f"embedding must be two arrays (pair, feature), of chosen and rejected, with {n:,} rows each. Got "
                f"{vectors[0].shape} and {vectors[1].shape}"
            )
        return vectors, []
    both = np.concatenate(texts)
    # Read as a regression: nothing is learned from the numbers.
    samples = Samples.of(both, np.arange(2 * n, dtype=float), ids=np.arange(2 * n), task="regression", embedding=embedding)
    return [samples.matrix[:n], samples.matrix[n:]], list(samples.notices)


def _group(prompts: np.ndarray | None, texts: list[np.ndarray] | None, vectors: list[np.ndarray]) -> np.ndarray:
    """Return groups by prompt; without prompts, the same two things in either order are one group."""
    if prompts is not None:
        return encode_values(prompts)[0]
    if texts is not None:
        return encode_values(object_array(["\x00".join(sorted(pair)) for pair in zip(*texts, strict=True)]))[0]
    both = np.concatenate(vectors)
    code = np.unique(both, axis=0, return_inverse=True)[1].reshape(2, -1)
    pairs = np.sort(code, axis=0)
    return np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _shown_texts(texts: list[np.ndarray], prompts: np.ndarray | None) -> np.ndarray:
    shown = [f"Chosen: {chosen}\n\nRejected: {rejected}" for chosen, rejected in zip(*texts, strict=True)]
    if prompts is not None:
        shown = [f"Prompt: {prompt}\n\n{text}" for prompt, text in zip(prompts, shown, strict=True)]
    return object_array(shown)
