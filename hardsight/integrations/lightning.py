"""Weights in Lightning: a callback that tells a weighting the epoch and keeps it in checkpoints."""

import sys
from importlib import import_module
from typing import Any

from hardsight.errors import InputError
from hardsight.weights.training import Weighting

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _import_callback() -> Any:
    """Lightning's Callback, of the package that is in use: it goes by two names."""
    for name in sorted(_PACKAGES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    raise InputError("pytorch-lightning is not installed: pip install 'hardsight[lightning]'")


class WeightingCallback(_import_callback()):  # type: ignore[misc]
    """Tells a weighting the epoch before every batch, moves it to the device, and keeps its state in checkpoints.

    While Lightning validates (before training, too), tests or predicts, the weighting is in evaluation: it gives the plain
    mean of the losses and remembers nothing.

    The training step then weighs in one line, with ids that ``hs.indexed(dataset)`` puts last into every batch::

        weighting = hs.Weighting("superloss", num_samples=len(dataset))
        trainer = Trainer(callbacks=[WeightingCallback(weighting)])

        def training_step(self, batch, _):
            x, y, ids = batch
            logits = self(x)
            return weighting(cross_entropy(logits, y, reduction="none"), ids, logits=logits, labels=y)

    A weighting that is an attribute of the LightningModule moves and is saved with it; the callback then only tells it the
    epoch. Lightning divides the loss by ``accumulate_grad_batches``: with reduction "mean" and full batches the accumulated
    gradient is that of the mean over all of them; schemes that compare the samples of a batch see one micro-batch at a time.
    """

    def __init__(self, weighting: Any) -> None:
        """Of a weighting.

        Raises:
            InputError: it is none.
        """
        if not isinstance(weighting, Weighting):
            raise InputError(
                f"weighting must be a hs.Weighting. Got {type(weighting).__name__}: hs.Weighting('superloss', …)"
            )
        super().__init__()
        self.weighting = weighting
        self._trained = weighting.training

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Bring it to where the model is."""
        self.weighting.to(pl_module.device)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Tell it how many epochs there are, if that is known and it was not told."""
        if self.weighting.epochs is None and (trainer.max_epochs or -1) > 0:
            self.weighting.epochs = float(trainer.max_epochs)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Tell it how much of the epochs is done."""
        batches = trainer.num_training_batches
        within = batch_idx / batches if batches and batches != float("inf") else 0.0
        self.weighting.train()
        self.weighting.set_epoch(trainer.current_epoch + within)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Weigh nothing, and remember nothing, of what is not trained on."""
        self._trained = self.weighting.training
        self.weighting.eval()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Be as before."""
        self.weighting.train(self._trained)

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end

    def state_dict(self) -> dict[str, Any]:
        """What Lightning writes into a checkpoint."""
        return dict(self.weighting.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        self.weighting.load_state_dict(state_dict)
