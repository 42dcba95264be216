"""What an explanation holds: tidy tables, a paragraph for each weights, a file and a page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from hardsight.difficulty.result import Difficulty
from hardsight.explanation.optimization.dynamics import TrainingDynamics
from hardsight.io.atomic import atomic_write


@dataclass(frozen=True, eq=False)
class Explanation:
    """What weights do. Every table is tidy, and its first column, ``weights``, is the name of the weights.

    Attributes:
        names: of the weights that are explained.
        overview: a row for each weights: effective sample size, chi2, Spearman with the error, priority, the share of the
            weight on wrong labels; see :func:`hardsight.explanation.weight_summary.weight_overview`.
        shares: how the weight is divided, by class, cause and decile of difficulty.
        largest: the samples of largest weight.
        forecast: what was expected before training, by group; None without a ledger.
        effects: what was measured, by group and measure, with 95 % intervals; None with ``effect=False``.
        samples: the measured effect on every sample; None likewise.
        bound: the terms of the margin bound, for the models without and with the weights; None in regression.
        verdicts: predicted and measured direction.
        settings: what was run, JSON types only.
        texts: a paragraph for each weights, by name.
        difficulty: what was measured of the samples, in their order.
        dynamics: how training goes with each weights and without; None where it was not followed.
    """

    names: tuple[str, ...]
    overview: pd.DataFrame
    shares: pd.DataFrame
    largest: pd.DataFrame
    forecast: pd.DataFrame | None
    effects: pd.DataFrame | None
    samples: pd.DataFrame | None
    bound: pd.DataFrame | None
    verdicts: pd.DataFrame
    settings: dict[str, Any]
    texts: dict[str, str]
    difficulty: Difficulty
    dynamics: TrainingDynamics | None = None

    TABLES: ClassVar = ("overview", "shares", "largest", "forecast", "effects", "samples", "bound", "verdicts")

    @property
    def text(self) -> str:
        """The verdict in words, a paragraph for each weights."""
        return "\n\n".join(self.texts.values())

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types, a list of rows a table; what is not known is null."""
        tables = {name: _records(getattr(self, name)) for name in self.TABLES}
        course = None if self.dynamics is None else self.dynamics.as_dict()
        return {
            "weights": list(self.names),
            "text": self.texts,
            **tables,
            "dynamics": course,
            "settings": self.settings,
        }

    def save(self, path: str | Path) -> None:
        """Write :meth:`as_dict` as a JSON file, all or nothing.

        Raises:
            InputError: the path cannot be written.
        """
        text = json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False, indent=1)
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")

    def report(self, path: str | Path) -> None:
        """Write one self-contained HTML page that opens offline.

        Raises:
            InputError: the path cannot be written.
        """
        from hardsight.explanation.page import write_page

        write_page(self, path)

    def __repr__(self) -> str:
        return f"Explanation of {', '.join(self.names)}\n{self.text}"


def _records(frame: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    if frame is None:
        return None
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not np.isfinite(plain):
        return None
    return plain if plain is None or isinstance(plain, bool | int | float) else str(plain)
