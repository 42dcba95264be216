"""Which action is recommended: relabelling only where it is a gain in expectation."""

import numpy as np
import pytest

from hardsight.attribution.names import TOO_FEW
from hardsight.difficulty.actions import describe_trust, is_relabelling_advised, recommend


def one(cause="noise", p_wrong=0.7, p_suggested=0.5, trust=1.0, suggested=1):
    arrays = np.array([cause]), np.array([p_wrong]), np.array([0]), np.array([suggested]), np.array([p_suggested])
    return recommend(*arrays, trust)[0]


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({}, "relabel"),
        ({"p_suggested": 0.31}, "relabel"),
        ({"p_suggested": 0.29}, "look at it"),
        ({"p_wrong": 0.45, "p_suggested": 0.9}, "look at it"),
        ({"suggested": 0}, "look at it"),
        ({"trust": 0.74}, "look at it"),
        ({"trust": 0.76}, "relabel"),
        ({"cause": TOO_FEW}, "look at it"),
        ({"cause": "margin"}, "look at it"),
    ],
)
def test_one_sample(change, action):
    assert one(**change) == action


def test_no_class_too_small_to_tell_gives_or_takes_a_label():
    cause = np.array(["noise", "noise", TOO_FEW, "noise"])
    label, suggested = np.array([0, 0, 2, 2]), np.array([1, 2, 0, 0])
    advised = is_relabelling_advised(cause, np.full(4, 0.9), label, suggested, np.full(4, 0.8))
    assert advised.tolist() == [True, False, False, False]


def test_the_sentence_on_trust_says_what_is_advised():
    assert "no label should be changed before you look at it" in describe_trust(0.4)
    assert "look at samples before" in describe_trust(0.8)
