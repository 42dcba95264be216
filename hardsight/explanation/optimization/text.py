"""Describe the training dynamics in a few sentences."""

from collections.abc import Iterator

import pandas as pd

from hardsight.explanation.optimization.dynamics import UNIFORM, TrainingDynamics

# Groups whose shares of the gradient are described, if present: kind, name, and wording.
_GROUPS = (("decile", "10", "the hardest tenth"), ("cause", "noise", "samples hard by label noise"))


def describe_training(dynamics: TrainingDynamics, name: str) -> str:
    """Describe how training with some weights differs from training without.

    Args:
        dynamics: of several sets of weights, "uniform" among them.
    """
    summary = dynamics.summary
    row, uniform = (summary[summary["weights"] == each].iloc[0] for each in (name, UNIFORM))
    sentences = [
        _describe_dual(dynamics, row, uniform),
        _describe_linear(dynamics, row, uniform),
        *_describe_gradients(dynamics.gradients, name),
        _describe_networks(row, uniform),
    ]
    return " ".join(sentences)


def _describe_dual(dynamics: TrainingDynamics, row: pd.Series, uniform: pd.Series) -> str:
    support = int(dynamics.dual.is_support.sum())
    statement = (
        "A linear model separates the classes" if dynamics.dual.separable else "No linear model separates the classes"
    )
    margin_kind = "the largest margin" if dynamics.dual.separable else f"a soft margin (C = {dynamics.dual.surrogate:.3g})"
    kl = "infinite" if row["uncovered"] else f"{row['kl']:.2f}"
    return (
        f"{statement} ({dynamics.features}); {support:,} of {len(dynamics.rows):,} samples are support vectors of "
        f"{margin_kind}, and p* are their weights in its solution. KL(p*‖w) is {kl}, {uniform['kl']:.2f} without weights: "
        "a bound on the distance of training from the direction of that margin, not a speed."
    )


def _describe_linear(dynamics: TrainingDynamics, row: pd.Series, uniform: pd.Series) -> str:
    parts = [f"{row['angle']:.1f}° from that direction (without weights {uniform['angle']:.1f}°)"]
    if dynamics.dual.separable:
        parts.append(f"at {row['margin_share']:.0%} of the largest margin (without {uniform['margin_share']:.0%})")
    angle, largest_angle = row["angle_uniform"], row["angle_uniform_most"]
    parts.append(f"and {angle:.1f}° from training without weights, {largest_angle:.1f}° at most")
    sentence = f"By time {dynamics.linear['time'].max():.0e} linear training is {', '.join(parts)}."
    if (row["kl"] - uniform["kl"]) * (row["margin_share"] - uniform["margin_share"]) > 0:
        sentence += " Here the smaller bound does not come with the larger margin."
    return sentence


def _describe_gradients(gradients: pd.DataFrame, name: str) -> Iterator[str]:
    for by, group, wording in _GROUPS:
        rows = gradients[(gradients["by"] == by) & (gradients["group"] == group)]
        if not rows.empty:
            share = rows.set_index(["when", "weights"])["share"].to_dict()
            start, end = ((share[when, name], share[when, UNIFORM]) for when in ("start", "end"))
            yield (
                f"In networks, the share of {wording} in the gradient is {start[0]:.0%} at the start and {end[0]:.0%} at "
                f"the end (without weights {start[1]:.0%} and {end[1]:.0%})."
            )


def _describe_networks(row: pd.Series, uniform: pd.Series) -> str:
    return (
        f"Networks end at a training loss of {row['network_loss']:.3g} over all samples with their given labels, with "
        f"{row['network_wrong']:.1%} of them wrong (without weights {uniform['network_loss']:.3g} with "
        f"{uniform['network_wrong']:.1%})."
    )
