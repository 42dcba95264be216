"""The catalogue of all claims. To add one, decorate its test with ``define_claim`` in the module of its family."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import ModuleType

from hardsight.errors import InputError
from hardsight.theory.claim import Claim, ClaimDefinition
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
from hardsight.theory.image_study import ImageStudy
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


def _collect_definitions() -> Iterator[ClaimDefinition]:
    for family, module in _FAMILIES.items():
        for entry in vars(module).values():
            if isinstance(entry, ClaimDefinition):
                yield replace(entry, family=family)


CLAIMS: dict[str, ClaimDefinition] = {row.name: row for row in _collect_definitions()}
"""All claims by name, in the order of the theory."""

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
"""Claims that repeat published experiments, sized for two cores: the error under label noise and imbalance, and against
margin and uncertainty; the speed of training with weights (Zhou et al. 2022, as reconstructed); weights whose effect fades
or stays (Byrd & Lipton 2019); and the loss tails under which it stays (Wang et al. 2022)."""


def select_claims(only: Sequence[str] = (), *, full: bool = False, study: ImageStudy | None = None) -> list[ClaimDefinition]:
    """Return the definitions of a run: those in ``only``, else all of the fast or the full set.

    With ``study``, claims about images are those of the study.

    Raises:
        InputError: an unknown name; the message suggests similar ones.
    """
    for name in only:
        if name not in CLAIMS:
            similar = get_close_matches(name, CLAIMS, 3, 0.4)
            hint = f"did you mean {' or '.join(map(repr, similar))}?" if similar else "hardsight theory --list shows all"
            raise InputError(f"unknown claim {name!r}: {hint}")
    rows = [row for row in CLAIMS.values() if (row.name in only if only else (row.full_runs if full else row.runs))]
    if study is None:
        return rows
    on_study = {name: replace(make(study), family=study.name) for name, make in replicated.STUDIED.items()}
    return [on_study.get(row.name, row) for row in rows]


def check(
    only: Sequence[str] = (),
    *,
    full: bool = False,
    seed: int = 0,
    on_result: Callable[[Claim], None] = lambda _: None,
    study: ImageStudy | None = None,
) -> list[Claim]:
    """Test the claims of the theory.

    Args:
        only: names; empty: all claims of the set. A claim that is only in the full set is tested in full.
        full: test the full set, with many seeds.
        seed: determines every random number.
        on_result: called with each claim as soon as it is tested.
        study: images for the claims of :data:`hardsight.theory.claims.replicated.STUDIED`, such as
            :func:`hardsight.theory.cifar.make_study`; None: scikit-learn's digits.

    Raises:
        InputError: an unknown name, or a negative seed.
    """
    check_int("seed", seed, 0)
    results = []
    for row in select_claims(only, full=full, study=study):
        results.append(row.check(seed, full=full or not row.runs))
        on_result(results[-1])
    return results
