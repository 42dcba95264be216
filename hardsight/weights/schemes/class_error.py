"""Classes that the model gets wrong weigh more."""

import math
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_probabilities
from hardsight.weights.scheme import Scheme

_SINHA = "Sinha, Ohashi & Nakamura 2020, Class-wise difficulty-balanced loss for solving class-imbalance, ACCV"


def cdb(
    class_error: Float[Tensor, " class"], labels: Int[Tensor, " sample"], *, tau: float | Literal["dynamic"] = "dynamic"
) -> Float[Tensor, " sample"]:
    """A power of the error rate of the sample's class.

    Args:
        class_error: error rate of each class on balanced validation data.
        labels: class codes.
        tau: the power; "dynamic" sets it from how unequal the rates are.

    Raises:
        InputError: no class has an error: there is nothing to weigh by.
    """
    rates = check_probabilities(class_error)
    if not bool((rates > 0).any()):
        raise InputError("class_error must be above 0 for one class at least: there is nothing to weigh by")
    power = _dynamic(rates) if isinstance(tau, str) else check_range("tau", tau, 0)
    classes = rates**power
    return (classes / classes.mean())[check_codes("labels", labels, len(rates))]


def _dynamic(rates: Tensor) -> float:
    imbalance = float((1 - rates.min()) / (1 - rates.max() + 0.01))
    return 1 / (1 + math.exp(-imbalance))


ROWS = (
    Scheme(
        "cdb",
        "classes that the model gets wrong on validation data",
        "e_c^tau K / sum(e^tau); dynamic: tau = sigmoid((1 - min e)/(1 - max e + 0.01))",
        cdb,
        "hard",
        "error rate of the class, 0 to 1",
        _SINHA,
        normalization="mean 1 over classes",
        per="class",
        clean_data="balanced validation data, to find the error rates anew every epoch",
        note="Dynamic tau is 0.5 to 1: it never emphasises more than in proportion. A class without error weighs 0 "
        "for tau > 0.",
    ),
)
