"""The record of the run behind a result: what was trained, how, and what the user should know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

import numpy as np

# Fields whose key in the file differs from their name.
_KEYS = {"n_models": "members", "training_length": "pilot", "evidence_weights": "powers", "pseudo_counts": "held"}
_REQUIRED = ("loss", "learner", "members")
_TEXTS = ("loss", "learner", "recipe", "reason", "splits", "duplicates", "label_name", "part_name", "task", "source")
_CALIBRATION = ("temperature", "fitted", "gain", "gain_se", "predictions")
_RECORDS = {"pilot": (), "calibration": _CALIBRATION, "adjusted": ("gain", "gain_se"), "refined": ("rounds", "members")}


class AdjustedInfo(TypedDict):
    """The outcome of the second estimate of the error; see :mod:`hardsight.measures.control_variate`."""

    gain: float | None
    gain_se: float | None
    why: str


class RefinedInfo(TypedDict):
    """Models that were trained again with automatic weights to find wrong labels."""

    rounds: int  # later rounds that count; a round that explains no more wrong labels does not
    members: int  # models trained in all later rounds
    why: str  # why there are so many rounds


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The record of a run. All values are JSON types, apart from the tuple of notices."""

    loss: str  # key of the loss: log, brier, zero-one, squared, or that of the learner
    learner: str  # name of the learner
    recipe: str = ""  # how it was trained
    reason: str = ""  # why this learner was used
    splits: str = ""  # how samples were split
    n_models: int  # number of trained models
    reliability: float | None = None  # of the ranking, 0 to 1; None if it is unknown
    seed: int | None = None  # fixes every random number
    duplicates: str | None = None  # samples that were kept together as copies: "near", "together" (exact ones), "apart"
    label_name: str = "label"  # name of the label in reports
    part_name: str | None = None  # what a labelled part of a sample is called, such as "token"; None: rows are samples
    notices: tuple[str, ...] = ()  # what the user should know of the result, one sentence or two each
    task: str | None = None  # "loss" if the models gave a loss per sample and no predictions; None otherwise
    training_length: dict[str, Any] | None = None  # how the training length was chosen; None if it was not searched for
    # How log-probabilities were calibrated (hardsight.estimation.calibration.Calibration); None if that was not considered.
    calibration: dict[str, Any] | None = None
    adjusted: AdjustedInfo | None = None  # outcome of the second estimate; None if it was not considered
    refined: RefinedInfo | None = None  # outcome of training again with automatic weights; None if it was not considered
    transition: list[list[float]] | None = None  # estimated P(given label | true label), one list per true class
    class_shares: list[float] | None = None  # estimated shares of the classes among the true labels
    class_sizes: list[int] | None = None  # number of samples given each label
    evidence_weights: list[float] | None = None  # exponents of the label model, one per source of evidence
    # What was made of witnesses that never saw the labels (WitnessSummary), one record each; None if there were none.
    witnesses: list[dict[str, Any]] | None = None
    ledger_trust: float | None = None  # how far the ledger explains the labels, 0 to 1; None: fully, or there is none
    # Shrinkage of the label model's transition rates; None stands for infinity.
    pseudo_counts: list[float | None] | None = None
    source: str | None = None  # name of the measured file or folder
    other: dict[str, Any] = field(default_factory=dict)  # what a file holds beyond these, by key

    @property
    def loss_only(self) -> bool:
        """Whether the models gave a loss per sample and no predictions."""
        return self.task == "loss"

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "RunInfo":
        """Check and convert the settings of a file.

        Raises:
            KeyError: the loss, the learner or the number of models is missing.
            ValueError: a setting has the wrong type; names it.
        """
        for key in _REQUIRED:
            settings[key]
        for key in _TEXTS:
            _check(isinstance(settings.get(key, ""), str), key)
        for key in ("members", "seed"):
            _check(type(settings.get(key, 0)) is int, key)
        notices = settings.get("notices", [])
        _check(isinstance(notices, list) and all(isinstance(notice, str) for notice in notices), "notices")
        witnesses = settings.get("witnesses")
        _check(
            witnesses is None or (isinstance(witnesses, list) and all(isinstance(w, dict) for w in witnesses)), "witnesses"
        )
        for key in ("reliability", "ledger_trust"):
            _check(_is_number(settings.get(key)), key)
        for key, numbers in _RECORDS.items():
            record = settings.get(key)
            _check(isinstance(record, dict | None), key)
            for number in numbers:
                _check(_is_number((record or {}).get(number)), number)
        names = {_KEYS.get(each.name, each.name): each.name for each in fields(cls) if each.name != "other"}
        values = {name: settings[key] for key, name in names.items() if key in settings}
        other = {key: value for key, value in settings.items() if key not in names}
        return cls(**values | {"notices": tuple(notices), "other": other})

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON types, by the keys that the file has. Unknown ones are left out."""
        values: dict[str, Any] = {_KEYS.get(each.name, each.name): getattr(self, each.name) for each in fields(self)}
        values["notices"] = list(self.notices)
        del values["other"]
        return {key: value for key, value in values.items() if value is not None or key == "reliability"} | self.other


def _check(valid: bool, name: str) -> None:
    if not valid:
        raise ValueError(name)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value)))
