"""Every claim, a row each. To add one: write its test, with ``proposition`` above it, in the module of its family."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import ModuleType

from hardsight.errors import InputError
from hardsight.theory.claim import Claim, Proposition
from hardsight.theory.claims import (
    bound,
    decomposition,
    dual,
    estimation,
    images,
    imbalance,
    margin,
    networks,
    noise,
    optimization,
    path,
    replicated,
    speed,
    weights,
)
from hardsight.theory.image_study import Study
from hardsight.validation import check_int

_FAMILIES: dict[str, ModuleType] = {
    "Error = bias + variance": decomposition,
    "Noise": noise,
    "Imbalance": imbalance,
    "Margin": margin,
    "Estimation": estimation,
    "Weights": weights,
    "Max-margin dual": dual,
    "Optimization": optimization,
    "Speed": speed,
    "Regularised path": path,
    "Generalization bound": bound,
    "Networks": networks,
    "Digits": images,
}


def _gathered() -> Iterator[Proposition]:
    for family, room in _FAMILIES.items():
        for row in vars(room).values():
            if isinstance(row, Proposition):
                yield replace(row, family=family)


CLAIMS: dict[str, Proposition] = {row.name: row for row in _gathered()}
"""All propositions by name, in the order of the theory."""

REPLICATION = (
    "flips-by-error",
    "long-tail-error",
    "margin-and-uncertainty",
    "easy-first-trains-slower",
    "steps-to-margin",
    "networks-separate-hard-first",
    "weights-fade",
    "decay-freezes-weights",
    "networks-forget-weights",
    "polynomial-tails-keep-weights",
)
"""Those that repeat published experiments, at a size that two cores carry: the error under label noise and imbalance,
against margin and uncertainty, the speed of training by weights (Zhou et al. 2022, as reconstructed), weights that fade or
stay (Byrd & Lipton 2019), and the tails under which they stay (Wang et al. 2022)."""


def chosen(only: Sequence[str] = (), *, full: bool = False, study: Study | None = None) -> list[Proposition]:
    """The rows of a run: those named, or all of the fast set, or of the full one; about images of a study, where given.

    Raises:
        InputError: a name that no claim has; tells the nearest.
    """
    for name in only:
        if name not in CLAIMS:
            near = get_close_matches(name, CLAIMS, 3, 0.4)
            meant = f"do you mean {' or '.join(map(repr, near))}?" if near else "hardsight theory --list names them all"
            raise InputError(f"there is no claim {name!r}: {meant}")
    rows = [row for row in CLAIMS.values() if (row.name in only if only else (row.full_runs if full else row.runs))]
    if study is None:
        return rows
    made = {name: replace(make(study), family=study.name) for name, make in replicated.STUDIED.items()}
    return [made.get(row.name, row) for row in rows]


def check(
    only: Sequence[str] = (),
    *,
    full: bool = False,
    seed: int = 0,
    tell: Callable[[Claim], None] = lambda _: None,
    study: Study | None = None,
) -> list[Claim]:
    """Test the claims of the theory.

    Args:
        only: names; all of the set where there are none. A claim of the full set alone is tested in full.
        full: many seeds, and the claims that need them.
        seed: fixes every random number.
        tell: called with each claim as soon as it is tested.
        study: images on which the claims of :data:`hardsight.theory.claims.replicated.STUDIED` are tested, such as
            :func:`hardsight.theory.cifar.study`; None: scikit-learn's digits.

    Raises:
        InputError: an unknown name, or a seed below zero.
    """
    check_int("seed", seed, 0)
    found = []
    for row in chosen(only, full=full, study=study):
        found.append(row.check(seed, full=full or not row.runs))
        tell(found[-1])
    return found
