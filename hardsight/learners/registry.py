"""Learners by name, and which learner an argument ``learner=`` stands for.

A new named learner is a function with the decorator :func:`hardsight.learners.presets.preset` in a file of
``hardsight/learners/presets/``, where it is found.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import Any

import numpy as np
import torch
from torch import nn

from hardsight.data import Samples
from hardsight.data.conversion import is_from
from hardsight.errors import InputError, first_line
from hardsight.learners import presets
from hardsight.learners.base import Learner, capabilities_of
from hardsight.learners.label_sets import learn_labels
from hardsight.learners.lightning import LightningModel
from hardsight.learners.linear.sparse_softmax import SparseSoftmax
from hardsight.learners.network.network import Network
from hardsight.learners.network.rotation import count_axes
from hardsight.learners.network.seeds import preserve_random_state
from hardsight.learners.presets import Preset
from hardsight.learners.sklearn import SklearnModel
from hardsight.validation import suggest_name

_DEFAULT = "network"
_EXPECTED = (
    "learner must be a name ({}), an estimator with fit and predict, a function that returns a new torch or Lightning "
    "module, or hs.Loop(train, predict)"
)
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
    if samples.whole is not None:
        # One output per label.
        assert samples.parts is not None
        assert samples.parts.names is not None
        whole = replace(samples.whole, classes=tuple(samples.parts.names.tolist()))
        chosen, reason = choose(learner, replace(whole, weights=None if samples.weights is None else np.ones(len(whole))))
        return learn_labels(chosen, samples, by_name=isinstance(learner, str)), reason
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
        raise InputError("learner must make new networks, not be one: pass a function, learner=lambda: MyModule(…)")
    is_module_class = isinstance(learner, type) and issubclass(learner, nn.Module)
    if callable(learner) and (is_module_class or not hasattr(learner, "fit")) and not isinstance(learner, torch.Tensor):
        return _learner_of_modules(learner), "as given"
    if isinstance(learner, torch.Tensor) or not hasattr(learner, "fit"):
        raise InputError(f"{_EXPECTED.format(', '.join(LEARNERS))}. Got {type(learner).__name__}")
    return SklearnModel(learner), "as given"


def _learner_of_modules(make: Any) -> Learner:
    """Return the learner for a function that makes a module.

    Raises:
        InputError: it needs arguments, fails or makes something else.
    """
    name = getattr(make, "__name__", type(make).__name__)
    try:
        signature(make).bind()
    except TypeError:
        fix = f"lambda: {name}(…)" if isinstance(make, type) else "a function without arguments, or hs.Loop(train, predict)"
        raise InputError(f"learner={name} cannot be called without arguments: pass {fix}") from None
    except ValueError:
        pass  # it has no signature
    with preserve_random_state():
        try:
            made = make()
        except Exception as error:  # a function of the user may raise anything
            raise InputError(
                f"learner={name} fails when it is called ({type(error).__name__}: {first_line(error)})"
            ) from error
    if is_from(made, "lightning") or is_from(made, "pytorch_lightning"):
        return LightningModel(make)
    if is_from(made, "transformers"):
        raise InputError(f"learner={name} makes a Hugging Face model: pass hs.HuggingFace({name}, training_arguments)")
    if isinstance(made, nn.Module):
        return Network(make)
    instead = "pass what it returns, not the function" if hasattr(made, "fit") else "return a torch.nn.Module"
    raise InputError(f"learner={name} must make a torch module. It returned {type(made).__name__}: {instead}")


def is_auto(learner: Any) -> bool:
    """Return whether a user left the learner open."""
    return isinstance(learner, str) and learner == "auto"


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
    if name == "auto" and samples.sparse and samples.parts is not None and samples.classes is not None:
        learner = SklearnModel(SparseSoftmax(), name="sparse softmax")
        return learner, "a linear model that reads the sparse features of tokens"
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
