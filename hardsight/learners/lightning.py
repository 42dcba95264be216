"""Lightning modules, trained by a ``Trainer`` for every member of the ensemble."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, TensorDataset, WeightedRandomSampler

from hardsight.data import Samples
from hardsight.data.conversion import is_from
from hardsight.errors import InputError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.loop import Loop
from hardsight.learners.loop.functions import code_digest
from hardsight.learners.network.network import count_steps, module_inputs, readable_inputs
from hardsight.learners.network.stacked import build_net
from hardsight.measures.probabilities import warn_of_probabilities
from hardsight.resampling.plan import Plan
from hardsight.validation import check_int

# The two names of Lightning. Modules of one cannot be trained by the other.
_PACKAGES = {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}
_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "devices": 1,
}
_LENGTHS = ("max_epochs", "max_steps", "max_time")
_PREDICTED_ROWS = 1024


class LightningModel:
    """A Lightning module, built by ``make_module`` and trained by a ``Trainer`` for every member of the ensemble.

    The module is trained as it says itself: ``training_step`` gets batches ``(x, y)`` of inputs as :class:`Network` passes
    them and class codes 0 … C-1 of the sorted classes (or float32 targets), and ``configure_optimizers`` sets optimizer and
    schedule. ``forward(x)`` returns logits ``(row, class)``, in regression ``(row, 1)`` or ``(row,)``. There is no
    validation, and nothing is written or logged. Data that are not in memory are for :class:`Loop`.

    Weighted samples are drawn as often as their weights say, with replacement, whatever the loss.

    Args:
        make_module: returns a new ``LightningModule``.
        trainer: arguments of the ``Trainer``, such as ``{"max_epochs": 20, "accelerator": "gpu"}``. Without a length, it
            trains as many epochs as :class:`Network` by default.
        batch_size: samples per step.

    Raises:
        InputError: an argument of a wrong kind.
    """

    def __init__(
        self, make_module: Callable[[], Any], *, trainer: Mapping[str, Any] | None = None, batch_size: int = 64
    ) -> None:
        if isinstance(make_module, torch.nn.Module) or not callable(make_module):
            raise InputError("make_module must be a function that returns a new Lightning module, not a module")
        if trainer is not None and not isinstance(trainer, Mapping):
            raise InputError(f"trainer must be a dict of the Trainer's arguments. Got {type(trainer).__name__}")
        self.make_module, self.trainer = make_module, dict(trainer or {})
        self._code = code_digest(make_module)
        self.batch_size = check_int("batch_size", batch_size, 1)
        self.name = f"Lightning {getattr(make_module, '__name__', 'module')}"
        self.capabilities = Capabilities(takes_weights=True, divisible=True, expensive=True, predicts_in_sample=True)

    def describe(self) -> str:
        """Return the recipe in one line."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in sorted(self.trainer.items()))
        return f"{self.name}, batch {self.batch_size}, Trainer({arguments}), code {self._code}"

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        inputs, targets = self._inputs(samples), torch.from_numpy(samples.labels)
        data = TensorDataset(inputs, targets if samples.classes is not None else targets.float())
        predict = partial(_predict, inputs, check=samples.classes is not None)
        loop = Loop(partial(self._train, data), predict, outputs="logits", name=self.name)
        # The loop knows samples by their rows.
        return loop.fit_predict(replace(samples, ids=np.arange(len(samples))), plan, on_progress)

    def _inputs(self, samples: Samples) -> Tensor:
        module = build_net(self.make_module, 0)
        inputs, outputs = module_inputs(samples), 1 if samples.classes is None else len(samples.classes)
        if inputs.isnan().any():
            raise InputError("the features have missing values, which the module cannot read: fill them")
        return readable_inputs(module, inputs, samples, outputs) if samples.integers else inputs

    def _train(self, data: TensorDataset, ids: np.ndarray, weights: np.ndarray, seed: int) -> Any:
        module = self.make_module()
        package = next((path for name, path in _PACKAGES.items() if is_from(module, name)), None)
        if package is None:
            raise InputError(f"make_module must return a LightningModule. Got {type(module).__name__}")
        part = TensorDataset(*(tensor[torch.from_numpy(ids)] for tensor in data.tensors))
        sampler: Any = RandomSampler(part)
        if (weights != 1).any():
            sampler = WeightedRandomSampler(weights.tolist(), len(part))
        size = min(self.batch_size, len(part))
        # Batch norm cannot be trained on one sample.
        loader = DataLoader(part, size, sampler=sampler, drop_last=len(part) % size == 1)
        arguments = {**_QUIET, **self.trainer}
        if not any(name in arguments for name in _LENGTHS):
            arguments["max_epochs"] = -(-count_steps(len(part), size, None) * size // len(part))
        with _silent(package), TemporaryDirectory(prefix="hardsight-") as folder:
            trainer = import_module(package).Trainer(**{"default_root_dir": folder, **arguments})
            trainer.fit(module, loader)
        if trainer.interrupted:
            raise KeyboardInterrupt
        return module


@contextmanager
def _silent(package: str) -> Iterator[None]:
    """Keep Lightning from reporting hardware and hints for every member."""
    loggers = [logging.getLogger(f"{package}.{part}") for part in ("utilities.rank_zero", "accelerators.cuda")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*treespec")
        warnings.filterwarnings("ignore", category=import_module(f"{package}.utilities.warnings").PossibleUserWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@torch.no_grad()
def _predict(inputs: Tensor, module: Any, ids: np.ndarray, *, check: bool) -> Tensor:
    module.eval()
    rows = torch.split(torch.from_numpy(ids.copy()), _PREDICTED_ROWS)
    outputs = torch.cat([module(inputs[part].to(module.device)).cpu() for part in rows])
    if check and outputs.ndim == 2:
        warn_of_probabilities(outputs, "forward")
    return outputs
