"""What the text of an option stands for."""

from __future__ import annotations

from typing import Any

import click


def assigned(text: str) -> tuple[str, Any]:
    """The name and the value of NAME=VALUE.

    >>> assigned("lam=.5")
    ('lam', 0.5)
    >>> assigned("pacing=root")
    ('pacing', 'root')
    """
    import json

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--set takes NAME=VALUE, lam=0.5. Got {text!r}")
    for read in (json.loads, float):
        try:
            return name.strip(), read(value)
        except ValueError:
            continue
    return name.strip(), value


def listed(names: str | None) -> tuple[str, ...]:
    """The names between commas, without those that are empty.

    >>> listed("digits, wine,")
    ('digits', 'wine')
    """
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def numbers(option: str, text: str) -> list[float]:
    """The numbers between commas.

    Raises:
        click.UsageError: one is no number; ``option`` is the one to name.

    >>> numbers("--shares", "0.05, 0.1")
    [0.05, 0.1]
    """
    try:
        return [float(each) for each in listed(text)]
    except ValueError:
        raise click.UsageError(f"{option} takes numbers with commas between them. Got {text!r}") from None


def splits_of(splits: str | None, members: int | None, ratio: float | None) -> Any:
    """What ``hs.measure`` takes as splits: a kind, or random subsets of that many members and that ratio."""
    if splits != "subsets":
        if members is not None or ratio is not None:
            raise click.UsageError("--members and --ratio go with --splits subsets")
        return splits
    from hardsight.resampling.splitters import Subsets

    given = {"members": members, "ratio": ratio}
    return Subsets(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
