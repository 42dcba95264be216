"""A loop that returns the losses of parts of samples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import hardsight as hs

IDS = [f"{i}.jpg" for i in range(12)]
SIZES = dict(zip(IDS, [1, 3, 2, 1, 2, 4, 1, 1, 3, 2, 2, 1], strict=True))


def train(ids: np.ndarray, weights: np.ndarray, seed: int) -> tuple[set[str], int]:
    assert len(ids) == len(weights) == len(set(ids))
    assert (weights == 1).all()
    return set(ids.tolist()), seed


def losses_of(sample: str, seed: int) -> np.ndarray:
    base = 10 * IDS.index(sample) + np.arange(SIZES[sample])
    return base + (seed % 97) / 97


def predict(model: tuple[set[str], int], ids: np.ndarray) -> list[np.ndarray]:
    trained, seed = model
    assert not trained & set(ids.tolist())
    assert trained | set(ids.tolist()) == set(IDS)
    return [losses_of(sample, seed) for sample in ids.tolist()]


def predict_dict(model: tuple[set[str], int], ids: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(ids.tolist(), predict(model, ids), strict=True))


def measure(predict: Callable[..., Any] = predict, parts: Any = SIZES, **options: Any) -> hs.Difficulty:
    arguments = {"folds": 3, "repeats": 2, "kind": "box"} | options
    return hs.measure(IDS, learner=hs.Loop(train, predict), task="loss", parts=parts, **arguments)


def test_losses_belong_to_their_parts() -> None:
    d = measure()
    assert d.ids[:4].tolist() == ["0.jpg/0", "1.jpg/0", "1.jpg/1", "1.jpg/2"]
    base = np.concatenate([losses_of(sample, 0) for sample in IDS])
    assert ((d.error >= base) & (d.error < base + 1)).all()
    assert d.run.part_name == "box"
    assert d.loss_only
    table = d.by_sample()
    assert table.loc["5.jpg", "parts"] == 4
    # All losses of a view move by the same amount, so their sum moves by four times as much.
    assert table.loc["5.jpg", "error_se"] == pytest.approx(4 * d.select(["5.jpg/0"]).error_se[0])


@pytest.mark.parametrize(
    "parts", [list(SIZES.values()), np.array(list(SIZES.values())), {key: list(range(size)) for key, size in SIZES.items()}]
)
def test_parts_are_given_in_several_forms(parts) -> None:
    np.testing.assert_array_equal(measure(predict_dict, parts).error, measure().error)


def test_names_and_numbered_samples() -> None:
    d = hs.measure(
        None,
        ids=range(12),
        learner=hs.Loop(lambda ids, seed: ids, lambda model, ids: [[float(i)] * 2 for i in ids]),
        task="loss",
        parts=[["left", "right"]] * 12,
        folds=3,
        repeats=2,
    )
    assert d.ids[:3].tolist() == ["0/left", "0/right", "1/left"]
    assert d.error.tolist() == np.repeat(np.arange(12.0), 2).tolist()


def test_checkpoints_and_groups(tmp_path) -> None:
    groups = np.arange(12) // 2
    execution = hs.Execution(checkpoint=tmp_path / "run.part")
    d = measure(groups=groups, execution=execution)
    resumed = measure(groups=groups, execution=hs.Execution(checkpoint=tmp_path / "run.part", resume=True))
    np.testing.assert_array_equal(resumed.error, d.error)
    np.testing.assert_array_equal(resumed.sample_error_se, d.sample_error_se)


def test_samples_without_parts_are_told() -> None:
    def predict_others(model: Any, ids: np.ndarray) -> list[np.ndarray]:
        return [losses_of(sample, 0) for sample in ids.tolist()]

    d = measure(predict_others, {**SIZES, "3.jpg": 0})
    assert "Samples without a box: 1 ('3.jpg'). They are neither trained on nor judged." in d.run.notices


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure(parts={**SIZES, "x": 1}), "by id: 'x' unknown"),
        (lambda: measure(parts={"0.jpg": 1}), "missing"),
        (lambda: measure(parts=[1, 2]), r"one entry per sample \(12\): got 2"),
        (lambda: measure(parts=[-1] * 12), "0 or more. Got -1 for '0.jpg'"),
        (lambda: measure(parts=[1.5] * 12), "must be a number, or a list"),
        (lambda: measure(parts=[["a", "a"]] * 12), "must have its own name"),
        (lambda: measure(parts=[0] * 12), "no sample has a box"),
        (lambda: measure(lambda m, ids: [[1.0]] * len(ids)), r"one loss per box. It returned 1 for '\d+.jpg', which has"),
        (lambda: measure(lambda m, ids: np.ones(len(ids))), "a list with the losses of each id's parts.* ndarray"),
        (lambda: measure(lambda m, ids: [[1.0]]), "It returned 1 entries"),
        (lambda: measure(lambda m, ids: {}), "It left out"),
        (lambda: measure(lambda m, ids: [["x"]] * len(ids)), "numbers, one per box"),
        (lambda: hs.measure(np.eye(9), [0, 1, 2] * 3, parts=[1] * 9), "learner=hs.Loop"),
    ],
)
def test_faults_are_named(call, message) -> None:
    with pytest.raises(hs.InputError, match=message):
        call()


def test_a_loss_that_is_not_finite_is_an_error_of_the_loop() -> None:
    with pytest.raises(hs.LearnerError, match="predict returned nan for"):
        measure(lambda m, ids: [np.full(SIZES[i], np.nan) for i in ids.tolist()])


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_losses_may_be_an_array_where_all_samples_have_as_many_parts(convert):
    rng = np.random.default_rng(0)
    table = dict(zip(IDS, rng.random((12, 2)), strict=True))

    def rows(model, ids):
        return convert(np.array([table[each] for each in ids.tolist()]))

    d = measure(rows, parts=[2] * 12)
    np.testing.assert_allclose(d.error, np.concatenate([table[each] for each in IDS]), rtol=1e-6)
    with pytest.raises(hs.InputError, match=r"list with the losses of each id"):
        measure(lambda model, ids: convert(np.zeros((len(ids) + 1, 2))), parts=[2] * 12)


@pytest.mark.parametrize("kind", ["", "  ", 3])
def test_a_kind_that_is_no_text_is_refused(kind):
    with pytest.raises(hs.InputError, match=r"kind must be what a part is called"):
        measure(kind=kind)
    with pytest.raises(hs.InputError, match=r"kind must be what a part is called"):
        hs.measure_losses(np.ones((2, 3)), samples=["a", "a", "b"], kind=kind)
