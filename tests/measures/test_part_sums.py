"""Standard errors of sums over the parts of samples, against sums kept whole."""

import numpy as np
import pytest
import torch

import hardsight as hs
from hardsight.data.labelled_parts import Parts, as_parts
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.measures.held_out import HeldOut

SAMPLE = np.array([2, 0, 0, 1, 2, 2, 0])


def views_of_whole_samples(seed: int = 0, n: int = 6) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    rng = np.random.default_rng(seed)
    views = []
    for view in range(n):
        rows = np.flatnonzero(view % 3 != SAMPLE)
        # What the parts of a view have in common makes their losses rise and fall together.
        losses = rng.normal(3.0, 1.0) + rng.normal(0, 0.3, len(rows))
        views.append((torch.from_numpy(rows), torch.from_numpy(losses), view))
    return views


def record_of(views) -> HeldOut:
    labels = torch.full((len(SAMPLE),), torch.nan, dtype=torch.float64)
    return HeldOut.from_views(labels, None, views, loss_only=True, part_of=torch.from_numpy(SAMPLE))


def brute_force(views) -> np.ndarray:
    """Standard error of the mean of the summed losses of each row's sample."""
    sums: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for rows, losses, _ in views:
        for sample in np.unique(SAMPLE[rows]):
            sums[sample].append(float(losses[SAMPLE[rows] == sample].sum()))
    return np.array([np.std(sums[sample], ddof=1) / np.sqrt(len(sums[sample])) for sample in SAMPLE])


def test_standard_errors_are_those_of_the_sums() -> None:
    views = views_of_whole_samples()
    standard_error = record_of(views).sample_standard_error("own").numpy()
    np.testing.assert_allclose(standard_error, brute_force(views), rtol=1e-12)
    independent = np.sqrt(np.bincount(SAMPLE, record_of(views).standard_error("own").numpy() ** 2))[SAMPLE]
    assert (standard_error[SAMPLE != 1] > 1.2 * independent[SAMPLE != 1]).all()


def test_merged_and_restored_records_have_the_same_sums(tmp_path) -> None:
    views = views_of_whole_samples()
    whole, first = record_of(views), record_of(views[:2])
    first.merge(record_of(views[2:]))
    np.testing.assert_allclose(first.sample_standard_error("own"), whole.sample_standard_error("own"), rtol=1e-12)
    checkpoint = Checkpoint(tmp_path / "run.part", {})
    checkpoint.save(record_of(views[:3]), 3, [])
    restored = record_of([])
    checkpoint.restore(restored)
    for view in views[3:]:
        restored.add(*view)
    assert torch.equal(restored.sample_standard_error("own"), whole.sample_standard_error("own"))


def test_a_view_of_only_some_parts_leaves_no_standard_error_of_that_sample() -> None:
    views = views_of_whole_samples()
    rows, losses, view = views[0]
    views[0] = rows[:-1], losses[:-1], view  # row 6 is a part of sample 0, which view 0 leaves out; row 5 one of sample 2
    dropped = SAMPLE[rows[-1]]
    standard_error = record_of(views).sample_standard_error("own").numpy()
    assert (np.isnan(standard_error) == (dropped == SAMPLE)).all()


def test_samples_without_parts_keep_no_sums() -> None:
    record = HeldOut(torch.zeros(3, dtype=torch.int64), 2)
    assert record.part_sums is None
    assert record.sample_standard_error("log") is None
    assert not [name for name in record.state() if name.startswith("sum")]


@pytest.mark.parametrize("loss", ["log", "brier"])
def test_a_run_sums_the_losses_of_every_model(loss, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    sample = rng.permutation(np.repeat(np.arange(20), 3))
    views = []
    add = HeldOut.add

    def spy(self: HeldOut, rows, predictions, repeat=0) -> None:
        probability = predictions.softmax(1)
        p_label = probability[torch.arange(len(rows)), self.labels[rows]]
        brier = probability.square().sum(1) - 2 * p_label + 1
        views.append((rows.numpy(), (-p_label.log() if loss == "log" else brier).numpy()))
        add(self, rows, predictions, repeat)

    monkeypatch.setattr(HeldOut, "add", spy)
    samples = as_parts(hs.Samples.of(X, y), Parts.of(sample, kind="token"))
    d = hs.measure(samples, learner="ridge", loss=loss, folds=3, repeats=3, refine=False)
    sums = {name: [v[sample[rows] == name].sum() for rows, v in views if (sample[rows] == name).any()] for name in range(20)}
    expected = {name: np.std(values, ddof=1) / np.sqrt(len(values)) for name, values in sums.items()}
    table = d.by_sample()
    np.testing.assert_allclose(table["error_se"], [expected[name] for name in table.index], rtol=1e-9)
    part = d.select(d.part != 0).by_sample()
    assert part["error_se"].isna().all()
