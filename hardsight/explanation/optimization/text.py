"""What was seen of optimization, in a few sentences that the numbers support."""

from collections.abc import Iterator

import pandas as pd

from hardsight.explanation.optimization.dynamics import UNIFORM, TrainingDynamics

# Groups whose shares of the gradient are told, where they are there: what they are of, their name, and how they are called.
_TOLD = (("decile", "10", "the hardest tenth"), ("cause", "noise", "samples hard by label noise"))


def describe_training(found: TrainingDynamics, name: str) -> str:
    """How training with some weights differs from training without.

    Args:
        found: of several weights, "uniform" among them.
        name: of the weights to tell of.
    """
    told = found.summary
    own, even = (told[told["weights"] == each].iloc[0] for each in (name, UNIFORM))
    said = [
        _dual(found, own, even),
        _linear(found, own, even),
        *_gradients(found.gradients, name),
        _networks(own, even),
    ]
    return " ".join(said)


def _dual(found: TrainingDynamics, own: pd.Series, even: pd.Series) -> str:
    held = int(found.dual.holding.sum())
    what = "A linear model separates the classes" if found.dual.separable else "No linear model separates the classes"
    which = "the largest margin" if found.dual.separable else f"a soft margin (C = {found.dual.surrogate:.3g})"
    far = "infinite" if own["uncovered"] else f"{own['kl']:.2f}"
    return (
        f"{what} ({found.features}); {held:,} of {len(found.rows):,} samples hold the direction of {which}. KL(p*‖w) is "
        f"{far}, {even['kl']:.2f} without weights: a bound on how far training may be off, not a speed."
    )


def _linear(found: TrainingDynamics, own: pd.Series, even: pd.Series) -> str:
    parts = [f"{own['angle']:.1f}° from that direction (without weights {even['angle']:.1f}°)"]
    if found.dual.separable:
        parts.append(f"at {own['margin_share']:.0%} of the largest margin (without {even['margin_share']:.0%})")
    apart, most = own["angle_uniform"], own["angle_uniform_most"]
    parts.append(f"and {apart:.1f}° from training without weights, {most:.1f}° at most")
    said = f"By time {found.linear['time'].max():.0e} linear training is {', '.join(parts)}."
    if (own["kl"] - even["kl"]) * (own["margin_share"] - even["margin_share"]) > 0:
        said += " Here the smaller bound does not go with the larger margin."
    return said


def _gradients(gradients: pd.DataFrame, name: str) -> Iterator[str]:
    for by, group, words in _TOLD:
        here = gradients[(gradients["by"] == by) & (gradients["group"] == group)]
        if not here.empty:
            share = here.set_index(["when", "weights"])["share"].to_dict()
            start, end = ((share[when, name], share[when, UNIFORM]) for when in ("start", "end"))
            yield (
                f"In networks {words} make {start[0]:.0%} of the gradient at the start and {end[0]:.0%} at the end "
                f"(without weights {start[1]:.0%} and {end[1]:.0%})."
            )


def _networks(own: pd.Series, even: pd.Series) -> str:
    return (
        f"Networks end at a training loss of {own['network_loss']:.3g} over all samples as they are labelled, with "
        f"{own['network_wrong']:.1%} of them wrong (without weights {even['network_loss']:.3g} with "
        f"{even['network_wrong']:.1%})."
    )
