"""Where the inputs of a scheme come from: the batch, the call, or the weighting itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardsight.weights import Scheme
from hardsight.weights.inputs import SAMPLE_INPUTS

_TRAINING_INPUTS = frozenset({"classes", "sizes", "epoch", "epochs", "generator", "rows"})
# Found by the weighting alone.
_INTERNAL_INPUTS = frozenset({"generator", "rows"})


@dataclass(frozen=True)
class InputPlan:
    """How a weighting reads the inputs of its scheme.

    Attributes:
        per_sample: inputs that the batch must bring with one row per sample, sorted by name.
        optional: inputs that the batch may bring with one row per sample.
        per_call: other inputs that a call may give.
        reads_training: whether the scheme reads what the weighting knows itself: classes, their sizes, epochs, random
            numbers, rows.
        is_loss: whether the scheme gives losses; otherwise it gives weights.
        losses_only: whether weights need nothing from the batch but its losses, or p; batches without optional inputs can
            then take the fast path.
        several_labels: whether labels are a 0/1 matrix ``(sample, label)``.
    """

    per_sample: tuple[str, ...]
    optional: tuple[str, ...]
    per_call: tuple[str, ...]
    reads_training: bool
    is_loss: bool
    losses_only: bool
    several_labels: bool = False

    @classmethod
    def from_scheme(cls, scheme: Scheme | None) -> "InputPlan":
        """Plan the inputs of a scheme; None stands for fixed weights."""
        if scheme is None:
            return cls(("loss",), (), (), reads_training=False, is_loss=False, losses_only=True)
        is_loss = scheme.kind == "loss"
        per_sample, training = SAMPLE_INPUTS.intersection(scheme.reads), _TRAINING_INPUTS.intersection(scheme.inputs)
        optional = tuple(name for name in scheme.optional if name in SAMPLE_INPUTS)
        per_call = tuple(name for name in scheme.inputs if name not in SAMPLE_INPUTS | _INTERNAL_INPUTS)
        if not is_loss or "p" in per_sample:
            per_sample |= {"loss"}
        losses_only = not is_loss and not set(per_call) - training and per_sample <= {"loss", "p"}
        names = tuple(sorted(per_sample))
        return cls(names, optional, per_call, bool(training), is_loss, losses_only, scheme.reads_several_labels)

    @classmethod
    def union(cls, plans: Sequence["InputPlan"]) -> "InputPlan":
        """Plan the inputs of several schemes that give weights, all of the same batch."""
        per_sample = {name for plan in plans for name in plan.per_sample}
        return cls(
            tuple(sorted(per_sample)),
            tuple(sorted({name for plan in plans for name in plan.optional} - per_sample)),
            tuple(sorted({name for plan in plans for name in plan.per_call})),
            reads_training=any(plan.reads_training for plan in plans),
            is_loss=False,
            losses_only=all(plan.losses_only for plan in plans),
        )

    @property
    def reads_p(self) -> bool:
        """Whether the scheme reads the probability of the given label."""
        return "p" in self.per_sample

    def reads_outputs(self, values: Mapping[str, Any]) -> bool:
        """Whether logits or labels are read, by the scheme or to compute a loss that is not given."""
        return values.get("loss") is None or not {"p", "logits", "labels"}.isdisjoint((*self.per_sample, *self.optional))

    def select_names(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the inputs with one row per sample to read from a batch: those it must bring, and those it brings."""
        return (*self.per_sample, *(name for name in self.optional if values.get(name) is not None))
