"""Parsing of the values of options."""

from typing import Any

import click


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return the name and the value of NAME=VALUE; the value is JSON, a number or text.

    Raises:
        click.UsageError: the text has another form.

    >>> parse_assignment("lam=.5")
    ('lam', 0.5)
    >>> parse_assignment("pacing=root")
    ('pacing', 'root')
    """
    import json

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--set must be NAME=VALUE, such as lam=0.5. Got {text!r}")
    for parse in (json.loads, float):
        try:
            return name.strip(), parse(value)
        except ValueError:
            continue
    return name.strip(), value


def split_names(names: str | None) -> tuple[str, ...]:
    """Return the names between commas, without empty ones.

    >>> split_names("digits, wine,")
    ('digits', 'wine')
    """
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def parse_numbers(option: str, text: str) -> list[float]:
    """Return the numbers between commas.

    Raises:
        click.UsageError: one is not a number.

    >>> parse_numbers("--shares", "0.05, 0.1")
    [0.05, 0.1]
    """
    try:
        return [float(number) for number in split_names(text)]
    except ValueError:
        raise click.UsageError(f"{option} must be numbers separated by commas. Got {text!r}") from None


def make_splits(splits: str | None, members: int | None, ratio: float | None) -> Any:
    """Return the argument ``splits`` of ``hs.measure``: a kind, or random subsets of some number and ratio.

    Raises:
        click.UsageError: a number or a ratio for another kind than subsets.
    """
    if splits != "subsets":
        if members is not None or ratio is not None:
            raise click.UsageError("--members and --ratio need --splits subsets: add it, or leave them out")
        return splits
    from hardsight.resampling.splitters import Subsets

    options = {"members": members, "ratio": ratio}
    return Subsets(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
