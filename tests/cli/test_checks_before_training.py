"""Commands that train check everything that they were told before the first model is trained."""

import re

import numpy as np
import pandas as pd
import pytest
from support.command_line import error_line

import hardsight as hs
from hardsight.estimation.runner import Runner


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files for all commands; a run that trains fails."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(40), "x": rng.normal(size=40), "y": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "data.csv", index=False)
    weights = pd.DataFrame({"id": range(40), "weight": 1.0})
    weights.iloc[:30].to_csv(tmp_path / "short.csv", index=False)
    weights.assign(weight=-1.0).to_csv(tmp_path / "negative.csv", index=False)
    long = pd.DataFrame({"item": np.tile(range(40), 2), "who": np.repeat(["p", "q"], 40), "label": ["a", "b"] * 40})
    long.to_csv(tmp_path / "long.csv", index=False)
    pairs = pd.DataFrame({"chosen": [f"good {i}" for i in range(20)], "rejected": [f"bad {i}" for i in range(20)]})
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    (tmp_path / "empty.csv").write_text("")

    def refuse(*arguments, **options):
        raise AssertionError("a model was trained before all inputs were checked")

    monkeypatch.setattr(Runner, "run", refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path


EXPLAIN = ("explain", "data.csv", "--label", "y", "--id", "id")
MEASURE = ("measure", "data.csv", "--label", "y", "--id", "id")
ANNOTATORS = ("annotators", "long.csv", "--item", "item", "--annotator", "who", "--label", "label")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*EXPLAIN, "--weights", "nosuch.csv"), "nosuch.csv"),
        ((*EXPLAIN, "--weights", "short.csv"), "no weight for 10 samples"),
        ((*EXPLAIN, "--weights", "negative.csv"), "0 or more"),
        ((*EXPLAIN, "--weights", "empty.csv"), "empty.csv"),
        ((*EXPLAIN, "--scheme", "nosuch"), "nosuch"),
        ((*EXPLAIN, "--scheme", "balanced", "--scheme", "nosuch"), "nosuch"),
        ((*EXPLAIN, "--scheme", "hard-first", "--set", "nosuch=1"), "nosuch"),
        ((*EXPLAIN, "--clip", "0.5"), "clip"),
        ((*EXPLAIN, "--learner", "knn-loo"), "weights"),
        ((*EXPLAIN, "--folds", "1"), "folds"),
        ((*EXPLAIN, "--difficulty", "nosuch"), "nosuch"),
        ((*MEASURE, "--witness", "nosuch.csv"), "nosuch.csv"),
        ((*MEASURE, "--witness", "short.csv"), "one probability per sample"),
        ((*MEASURE, "--against", "nosuch.csv"), "nosuch.csv"),
        ((*MEASURE, "--folds", "1"), "folds"),
        ((*ANNOTATORS, "--features", "nosuch.csv"), "nosuch.csv"),
        ((*ANNOTATORS, "--features", "data.csv", "--id", "id", "--learner", "nosuch"), "nosuch"),
        ((*ANNOTATORS, "--features", "data.csv", "--id", "id", "--folds", "1"), "folds"),
        (("preferences", "pairs.csv", "--folds", "1"), "folds"),
        (("preferences", "pairs.csv", "--group", "nosuch"), "nosuch"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_training(files, arguments, message):
    assert re.search(message, error_line(*arguments, "--out", files / "out"))


def test_the_function_checks_before_it_measures(files):
    frame = pd.read_csv("data.csv")
    for options, message in (
        ({"weights": "nosuch"}, "nosuch"),
        ({"weights": np.ones(7)}, "weights"),
        ({"weights": {"mine": -np.ones(40)}}, "0 or more"),
        ({"learner": "knn-loo"}, "does not take weights"),
        ({"folds": 1}, "folds"),
    ):
        with pytest.raises(hs.InputError, match=message):
            hs.explain(frame[["x"]], frame["y"], **options)
