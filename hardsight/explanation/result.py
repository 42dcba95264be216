"""The result of an explanation: tidy tables, a paragraph per set of weights, a file and a page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from hardsight.difficulty.result import Difficulty
from hardsight.explanation.optimization.dynamics import TrainingDynamics
from hardsight.io.atomic import atomic_write
from hardsight.io.json_values import to_records


@dataclass(frozen=True, eq=False)
class Explanation:
    """The effect of weights. Every table is tidy; its first column, ``weights``, is the name of the weights.

    Attributes:
        names: names of the weights that are explained.
        overview: one row per set of weights: effective sample size, chi2, Spearman correlation with the error,
            priority, and share of the weight on wrong labels; see
            :func:`hardsight.explanation.weight_summary.weight_overview`.
        shares: how the weight is divided, by class, cause and decile of difficulty.
        largest: the samples with the largest weights.
        forecast: the effect expected before training, by group; None without a ledger.
        effects: the measured effect, by group and measure, with 95 % intervals; None with ``effect=False``.
        samples: the measured effect on every sample; None with ``effect=False``.
        bound: the terms of the margin bound, for the models without and with the weights; None in regression.
        verdicts: predicted and measured direction.
        settings: what was run, JSON types only.
        texts: the findings of each set of weights, one per line, by name.
        difficulty: the measured difficulty of the samples, in their order.
        dynamics: training dynamics with each set of weights and without; None if they were not followed.
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
        """Return the verdict as text: one line per finding, and a blank line between sets of weights."""
        return "\n\n".join(self.texts.values())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON types; a table is a list of rows, and unknown values are null."""
        frames = {name: getattr(self, name) for name in self.TABLES}
        tables = {name: None if frame is None else to_records(frame) for name, frame in frames.items()}
        dynamics = None if self.dynamics is None else self.dynamics.as_dict()
        return {"weights": list(self.names), "text": self.texts, **tables, "dynamics": dynamics, "settings": self.settings}

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
