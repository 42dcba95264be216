"""Learners by name, and which learner an argument ``learner=`` stands for.

A new named learner is a function with the decorator :func:`hardsight.learners.presets.preset` in a file of
``hardsight/learners/presets/``, where it is found.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import torch
from torch import nn

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners import presets
from hardsight.learners.base import Learner, capabilities_of
from hardsight.learners.network.network import Network
from hardsight.learners.network.rotation import count_axes
from hardsight.learners.presets import Preset
from hardsight.learners.sklearn import SklearnModel
from hardsight.validation import suggest_name

_DEFAULT = "network"
_UNITS = {"table": "columns", "text": "text vectors", "image": "pixels"}


def _find_presets() -> Iterator[Preset]:
    for info in iter_modules(presets.__path__):
        module = import_module(f"{presets.__name__}.{info.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Preset))


LEARNERS: dict[str, Preset] = {
    row.name: row for row in sorted(_find_presets(), key=lambda row: (row.name != _DEFAULT, row.name))
}


def weighted_learners() -> list[str]:
    """Return the names of the learners that take weights."""
    return [name for name, row in LEARNERS.items() if row.takes_weights]


def choose(learner: Any, samples: Samples) -> tuple[Learner, str]:
    """Return the learner that a name, an estimator or a :class:`Learner` stands for, and the reason in words.

    Raises:
        InputError: an unknown name (the message lists the known ones), or an object that cannot learn.
    """
    if samples.kind == "ids" and not samples.numeric and not capabilities_of(learner).reads_ids:
        raise InputError(
            "X is missing: pass the samples, or numbers that describe them (embedding=…), or train on their ids by your own "
            "functions, learner=hs.Loop(train, predict)"
        )
    if isinstance(learner, str):
        chosen, reason = _choose_by_name(learner, samples)
        return chosen, reason + _note_on_rotation(chosen, samples)
    if isinstance(learner, Learner):
        return learner, "as given" + _note_on_rotation(learner, samples)
    if isinstance(learner, nn.Module):
        raise InputError("learner must make new networks, not be one: pass hs.Network(lambda: MyModule(…))")
    if isinstance(learner, torch.Tensor) or not hasattr(learner, "fit"):
        raise InputError(
            f"learner must be a name ({', '.join(LEARNERS)}), an estimator with fit and predict, or hs.Network(make_net). "
            f"Got {type(learner).__name__}"
        )
    return SklearnModel(learner), "as given"


def check_name(learner: Any) -> Any:
    """Return the learner unchanged if it is no name, or a known one.

    Raises:
        InputError: no learner has this name; the message lists the names.
    """
    if isinstance(learner, str) and learner != "auto" and learner not in LEARNERS:
        raise InputError(
            f"no learner is called {learner!r}{suggest_name(learner, LEARNERS)}: choose one of auto, {', '.join(LEARNERS)}"
        )
    return learner


def _choose_by_name(name: str, samples: Samples) -> tuple[Learner, str]:
    if name == "auto":
        unit = _UNITS.get(samples.kind, "numbers")
        width = samples.matrix.shape[1]
        return Network(), f"small networks on {width:,} {unit}: quick, and close to what is trained on such data"
    check_name(name)
    return LEARNERS[name].make(samples), "as asked for"


def _note_on_rotation(learner: Learner, samples: Samples) -> str:
    if not isinstance(learner, Network) or not learner.rotates(samples):
        return ""
    n_samples, n_features = samples.matrix.shape
    return f"; {n_features:,} features are rotated to {count_axes(n_samples):,} axes, which loses nothing"
