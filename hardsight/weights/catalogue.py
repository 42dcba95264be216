"""Every scheme, a row each. To add one: write its function and its row in the module of its family."""

from difflib import get_close_matches
from itertools import chain

from hardsight.errors import InputError
from hardsight.weights import automatic
from hardsight.weights.scheme import SCHEMES, Scheme
from hardsight.weights.schemes import (
    aligned,
    boosting,
    class_error,
    classes,
    debias,
    dro,
    focal_losses,
    groups,
    harmonized,
    holdout,
    icost,
    importance,
    influence,
    instance_hardness,
    label_filters,
    language,
    learned,
    mentor,
    meta,
    minimax,
    mining,
    mixtures,
    pacing,
    robust,
    robust_losses,
    self_paced,
    small_loss,
    super_loss,
    tree,
    uncertain,
    undersampling,
)
from hardsight.weights.schemes import priority as family

_FAMILIES = (
    automatic,
    self_paced,
    mentor,
    super_loss,
    small_loss,
    robust,
    robust_losses,
    mixtures,
    label_filters,
    uncertain,
    harmonized,
    influence,
    undersampling,
    focal_losses,
    mining,
    importance,
    dro,
    groups,
    debias,
    class_error,
    holdout,
    language,
    classes,
    icost,
    family,
    pacing,
    instance_hardness,
    minimax,
    boosting,
    aligned,
    meta,
    learned,
    tree,
)

SCHEMES.update({row.name: row for row in chain.from_iterable(family.ROWS for family in _FAMILIES)})


def get_scheme(name: str) -> Scheme:
    """The scheme of that name.

    Raises:
        InputError: there is none; names the nearest.
    """
    if not isinstance(name, str):
        raise InputError(
            f"a scheme is told by its name, such as 'superloss'. Got {type(name).__name__ if name is not None else name}"
        )
    if name not in SCHEMES:
        near = get_close_matches(name, SCHEMES, 3, 0.5)
        meant = f"do you mean {' or '.join(map(repr, near))}?" if near else "hardsight schemes lists them"
        raise InputError(f"there is no scheme {name!r}: {meant}")
    return SCHEMES[name]
