"""Weights in Lightning: a callback that sets the epoch of a weighting and saves it with checkpoints."""

import sys
from importlib import import_module
from typing import Any

from hardsight.errors import InputError
from hardsight.weights.training.id_check import check_positions
from hardsight.weights.training.weighting import check_weighting

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _import_callback() -> Any:
    """Import Lightning's Callback from the package that is in use; Lightning has two names."""
    for name in sorted(_PACKAGES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    raise InputError("pytorch-lightning is not installed: pip install 'hardsight[lightning]'")


class WeightingCallback(_import_callback()):  # type: ignore[misc]
    """A callback that sets the epoch of a weighting, moves it to the device, and saves it with checkpoints.

    It sets the epoch before every batch. While Lightning validates (before training, too), tests or predicts, the
    weighting is in evaluation mode: it gives the plain mean of the losses and remembers nothing.

    The training step weights the losses in one line, with the ids that ``hs.indexed(dataset)`` puts last in every
    batch::

        weighting = hs.Weighting("superloss", num_samples=len(dataset))
        trainer = Trainer(callbacks=[WeightingCallback(weighting)])

        def training_step(self, batch, _):
            x, y, ids = batch
            logits = self(x)
            return weighting(cross_entropy(logits, y, reduction="none"), ids, logits=logits, labels=y)

    A weighting that is an attribute of the LightningModule moves and is saved with it; then the callback only sets the
    epoch. Lightning divides the loss by ``accumulate_grad_batches``: with reduction "mean" and full batches the
    accumulated gradient is that of the mean over all of them. Schemes that compare the samples of a batch, weighted means
    and sums are refused then.
    """

    def __init__(self, weighting: Any) -> None:
        """Create a callback for a weighting.

        Raises:
            InputError: ``weighting`` is not a weighting.
        """
        weighting = check_weighting(weighting)
        super().__init__()
        self.weighting = weighting
        self._was_training = weighting.training

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Move the weighting to the device of the model."""
        self.weighting.to(pl_module.device)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Set the number of epochs, if Lightning knows it and the weighting does not.

        Raises:
            InputError: ids are positions in a data set of another size than the weights have.
        """
        if self.weighting.fixed_weights is not None:
            check_positions(self.weighting.id_index, getattr(trainer.train_dataloader, "dataset", None))
        if self.weighting.epochs is None and (trainer.max_epochs or -1) > 0:
            self.weighting.epochs = float(trainer.max_epochs)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the epoch, with the part of it that is done, and the number of micro-batches."""
        batches = trainer.num_training_batches
        fraction = batch_idx / batches if batches and batches != float("inf") else 0.0
        self.weighting.train()
        self.weighting.micro_batches = trainer.accumulate_grad_batches
        self.weighting.set_epoch(trainer.current_epoch + fraction)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Put the weighting into evaluation mode."""
        self._was_training = self.weighting.training
        self.weighting.eval()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Put the weighting back into the mode before."""
        self.weighting.train(self._was_training)

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the weighting, for a checkpoint."""
        return dict(self.weighting.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the weighting from a checkpoint."""
        self.weighting.load_state_dict(state_dict)
