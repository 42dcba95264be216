"""Inputs given in a call of a weighting: each is read, or refused by its name."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from hardsight.errors import InputError
from hardsight.weights import INPUTS, Scheme

_SET_ONCE = (
    *("num_samples", "scheme", "reduction", "through", "repeated", "seed"),
    *("on_nonfinite", "classes", "sizes", "groups", "epochs"),
)
_OF_LOSSES = {
    "weight": "class weights belong to the loss, cross_entropy(…, weight=…, reduction='none'); pass logits= and labels= too",
    "label_smoothing": "smoothing belongs to the loss, cross_entropy(…, label_smoothing=…, reduction='none'); pass logits= "
    "and labels= too",
    "ignore_index": "leave ignored samples out: keep = labels != ignore_index, then weighting(loss[keep], ids[keep], …)",
    "generator": "random numbers come from seed=: hs.Weighting(…, seed=…)",
    "rows": "rows are found by the ids: pass ids=…",
}


def check_call_inputs(schemes: Sequence[Scheme], names: Iterable[str]) -> None:
    """Check that a scheme reads every input that a call gives beside loss, logits, labels and ids.

    Raises:
        InputError: none reads one; says where it belongs.
    """
    reads = {name for scheme in schemes for name in scheme.inputs}
    for name in names:
        if name in _OF_LOSSES:
            raise InputError(f"a call takes no {name}=: {_OF_LOSSES[name]}")
        if name not in reads:
            raise InputError(_advise(schemes, name))


def _advise(schemes: Sequence[Scheme], name: str) -> str:
    for scheme in schemes:
        if name in scheme.parameters:
            return f"{name} is a parameter of scheme {scheme.name!r}: pass it once, hs.Weighting({scheme.name!r}, {name}=…)"
    if name in INPUTS:
        owner = " and ".join(f"scheme {scheme.name!r}" for scheme in schemes) or "fixed weights"
        return f"{owner} {'does' if len(schemes) == 1 else 'do'} not read {name}: leave it out"
    if name in _SET_ONCE:
        return f"a call takes no {name}=: pass it once, hs.Weighting(…, {name}=…)"
    near = get_close_matches(name, INPUTS, 1)
    return f"no scheme reads {name!r}: " + (f"do you mean {near[0]!r}?" if near else "leave it out")
