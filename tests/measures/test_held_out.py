"""Running moments against sums kept whole, merging as adding, and the record of held-out predictions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hardsight.estimation.checkpoint import Checkpoint
from hardsight.measures.held_out import HeldOut
from hardsight.measures.running import RunningMoments


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@st.composite
def partial_views(draw):
    """Some views ``(rows, values)`` of a few samples; every view holds some of them, perhaps none."""
    samples, width = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    views = []
    for _ in range(draw(st.integers(0, 7))):
        rows = torch.from_numpy(np.flatnonzero(rng.random(samples) < 0.7))
        views.append((rows, torch.from_numpy(rng.normal(3.0, 1.0, (len(rows), width)))))
    return samples, width, views


def moments(samples, width, views):
    m = RunningMoments(samples, width)
    for rows, values in views:
        m.add(rows, values)
    return m


def same(a, b):
    assert torch.equal(a.count, b.count)
    close(a.mean, b.mean)
    close(a.spread, b.spread)
    close(a.standard_error, b.standard_error)


@given(partial_views())
def test_moments_equal_two_passes(drawn):
    samples, width, views = drawn
    found = moments(samples, width, views)
    for i in range(samples):
        seen = [v[(rows == i).nonzero().item()].tolist() for rows, v in views if (rows == i).any()]
        assert found.count[i] == len(seen)
        if not seen:
            assert found.mean[i].tolist() == [0.0] * width
            continue
        mean = [math.fsum(column) / len(seen) for column in zip(*seen, strict=True)]
        spread = math.fsum((x - m) ** 2 for value in seen for x, m in zip(value, mean, strict=True))
        assert found.mean[i].tolist() == pytest.approx(mean, abs=1e-12)
        assert found.spread[i].item() == pytest.approx(spread, abs=1e-12)


@given(partial_views(), st.integers(0, 7), st.integers(0, 7))
def test_merging_is_adding(drawn, first, second):
    samples, width, views = drawn
    cut = sorted((min(first, len(views)), min(second, len(views))))
    parts = [views[: cut[0]], views[cut[0] : cut[1]], views[cut[1] :]]
    whole = moments(*drawn)

    left, middle, right = (moments(samples, width, part) for part in parts)
    left.merge(middle)
    left.merge(right)
    same(left, whole)

    left, middle, right = (moments(samples, width, part) for part in parts)
    middle.merge(right)
    middle.merge(left)
    same(middle, whole)


@given(partial_views(), st.randoms(use_true_random=False))
def test_the_order_of_views_does_not_matter(drawn, random):
    samples, width, views = drawn
    shuffled = random.sample(views, len(views))
    same(moments(samples, width, shuffled), moments(*drawn))


def test_a_small_spread_around_a_large_mean_survives():
    values = [1e4 + 1e-8 * k for k in (3, -1, 4, -1, -5, 9, -2, 6)]
    mean = math.fsum(values) / 8
    spread = math.fsum((v - mean) ** 2 for v in values)
    whole, first, second = RunningMoments(1), RunningMoments(1), RunningMoments(1)
    for at, v in enumerate(values):
        for m in (whole, first if at < 3 else second):
            m.add(torch.tensor([0]), torch.tensor([v], dtype=torch.float64))
    first.merge(second)
    # The values themselves are only exact to 2e-12, a fifty-thousandth of their spread.
    assert whole.spread.item() == pytest.approx(spread, rel=1e-3)
    assert first.spread.item() == pytest.approx(spread, rel=1e-3)


def test_standard_error_is_that_of_numpy():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 3))
    m = RunningMoments(3)
    for view in values:
        m.add(torch.arange(3), torch.from_numpy(view))
    np.testing.assert_allclose(m.standard_error, values.std(0, ddof=1) / np.sqrt(7), rtol=1e-12)


def logits(seed, views=5, samples=6, classes=3):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(scale=2, size=(views, samples, classes)))


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def test_the_record_against_everything_kept():
    views = logits(0)
    record = HeldOut.from_views(LABELS, 3, ((torch.arange(6), v, t) for t, v in enumerate(views)))
    lp = views.log_softmax(2).numpy()
    p, target = np.exp(lp), np.eye(3)[LABELS.numpy()]
    own = np.take_along_axis(lp, LABELS.numpy()[None, :, None], 2)[..., 0]
    losses = {"log": -own, "brier": ((p - target) ** 2).sum(2), "zero-one": (lp.argmax(2) != LABELS.numpy()).astype(float)}
    for loss, values in losses.items():
        np.testing.assert_allclose(record.decompose(loss).error, values.mean(0), rtol=0, atol=1e-12)
        se = values.std(0, ddof=1) / np.sqrt(5)
        np.testing.assert_allclose(record.standard_error(loss), se, rtol=0, atol=1e-12)
    geometric = np.exp(lp.mean(0))
    np.testing.assert_allclose(record.consensus.exp(), geometric / geometric.sum(1, keepdims=True), rtol=0, atol=1e-12)
    shares = np.stack([(lp.argmax(2) == c).mean(0) for c in range(3)], axis=1)
    np.testing.assert_allclose(record.votes(), shares, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(record.majority, shares.argmax(1))


def test_logits_and_log_probabilities_are_the_same_to_the_record():
    views = logits(1)
    raw = HeldOut.from_views(LABELS, 3, ((torch.arange(6), v + 7, t) for t, v in enumerate(views)))
    normal = HeldOut.from_views(LABELS, 3, ((torch.arange(6), v.log_softmax(1), t) for t, v in enumerate(views)))
    for loss in ("log", "brier", "zero-one"):
        for a, b in zip(raw.decompose(loss), normal.decompose(loss), strict=True):
            close(a, b)


def test_records_merge_like_views():
    views = logits(2)
    whole = HeldOut.from_views(LABELS, 3, ((torch.arange(6), v, t) for t, v in enumerate(views)))
    first = HeldOut.from_views(LABELS, 3, ((torch.arange(6), v, t) for t, v in enumerate(views[:2])))
    first.merge(HeldOut.from_views(LABELS, 3, ((torch.arange(6), v, t) for t, v in enumerate(views[2:]))))
    assert torch.equal(first.count, whole.count)
    close(first.consensus, whole.consensus)
    for loss in ("log", "brier", "zero-one"):
        for a, b in zip(first.decompose(loss), whole.decompose(loss), strict=True):
            close(a, b)
        close(first.standard_error(loss), whole.standard_error(loss))


def test_rows_may_come_in_any_order_and_alone():
    views = logits(3)
    whole = HeldOut.from_views(LABELS, 3, ((torch.arange(6), v, t) for t, v in enumerate(views)))
    shuffled = torch.tensor([4, 2, 0, 5, 1, 3])
    other = HeldOut.from_views(LABELS[shuffled], 3, ((torch.arange(6), v[shuffled], t) for t, v in enumerate(views)))
    alone = HeldOut.from_views(
        LABELS, 3, ((torch.tensor([i]), v[[i]], t) for t, v in enumerate(views) for i in shuffled.tolist())
    )
    for loss in ("log", "brier", "zero-one"):
        for a, b, c in zip(whole.decompose(loss), other.decompose(loss), alone.decompose(loss), strict=True):
            close(a[shuffled], b)
            close(a, c)


def test_regression_record():
    targets = torch.tensor([1.0, 4.0], dtype=torch.float64)
    record = HeldOut(targets, None)
    record.add(torch.tensor([0, 1]), torch.tensor([2.0, 4.0], dtype=torch.float64))
    record.add(torch.tensor([1]), torch.tensor([8.0], dtype=torch.float64))
    assert record.count.tolist() == [1, 2]
    parts = record.decompose("squared")
    assert parts.error.tolist() == [1.0, 8.0]
    assert parts.variance[1].item() == 8.0
    assert parts.bias[1].item() == 0.0
    # Losses 0 and 16: standard deviation 8 √2, over √2 views.
    assert record.standard_error("squared")[1].item() == pytest.approx(8.0)


# --- in-sample losses ---------------------------------------------------------------------------


def both(seed, loss="log", turns=range(6)):
    """A record of some turns: half of the samples are held out from each of two models and judged in-sample by the other."""
    record, kept = HeldOut(LABELS, 3, loss), []
    for t in turns:
        rng = np.random.default_rng([seed, t])
        part = rng.permutation(6) % 2
        for k in (0, 1):
            held_out, seen = (torch.from_numpy(np.flatnonzero(part == k)), torch.from_numpy(np.flatnonzero(part != k)))
            record.add(held_out, torch.from_numpy(rng.normal(size=(3, 3))), t)
            predictions = torch.from_numpy(rng.normal(size=(3, 3)))
            record.add_in_sample(seen, predictions, t)
            kept += [(t, int(i), p.numpy()) for i, p in zip(seen, predictions, strict=True)]
    return record, kept


@pytest.mark.parametrize("loss", ["log", "brier"])
def test_in_sample_means_by_half_against_everything_kept(loss):
    record, kept = both(0, loss)
    for half in (0, 1):
        for i in range(6):
            own = []
            for turn, row, scores in kept:
                if turn % 2 == half and row == i:
                    p = np.exp(scores) / np.exp(scores).sum()
                    y = LABELS[i].item()
                    own.append(-np.log(p[y]) if loss == "log" else ((p - np.eye(3)[y]) ** 2).sum())
            assert record.in_sample_halves[half].count[i] == len(own)
            assert record.in_sample_halves[half].mean[i].item() == pytest.approx(np.mean(own) if own else 0.0, abs=1e-12)


def test_in_sample_losses_of_numbers_are_squared():
    record = HeldOut(torch.tensor([1.0, 4.0], dtype=torch.float64), None, "squared")
    record.add_in_sample(torch.tensor([1]), torch.tensor([6.0], dtype=torch.float64), 3)
    assert record.in_sample_halves[1].mean.tolist() == [0.0, 4.0]
    assert record.in_sample_halves[0].count.tolist() == [0, 0]


def test_in_sample_losses_leave_all_else_alone():
    record, _ = both(1)
    plain = HeldOut(LABELS, 3)
    for t in range(6):
        rng = np.random.default_rng([1, t])
        part = rng.permutation(6) % 2
        for k in (0, 1):
            plain.add(torch.from_numpy(np.flatnonzero(part == k)), torch.from_numpy(rng.normal(size=(3, 3))), t)
            rng.normal(size=(3, 3))
    assert set(plain.state()) < set(record.state())
    for name, value in plain.state().items():
        assert torch.equal(value, record.state()[name]), name


def test_in_sample_losses_merge_save_and_come_back(tmp_path):
    whole, _ = both(2)
    first, _ = both(2, turns=range(3))
    first.merge(both(2, turns=range(3, 6))[0])
    for name, value in whole.state().items():
        close(first.state()[name], value)
    Checkpoint(tmp_path / "kept.npz", {}).save(whole, 6, [])
    again = HeldOut(LABELS, 3, "log")
    Checkpoint(tmp_path / "kept.npz", {}).restore(again)
    for name, value in whole.state().items():
        assert torch.equal(again.state()[name], value), name
    with pytest.raises(ValueError, match="brier"):
        whole.control_variate_estimate("brier")
