"""The study of weights: that worlds are what they say, members are weighted as said, and gains are counted right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hardsight_bench import figures as drawings
from hardsight_bench import heterogeneous_ensemble as mixed
from hardsight_bench import weights_field as schemes
from hardsight_bench import weights_page as gains_page
from hardsight_bench import weights_study as study
from hardsight_bench.cells import claim_folder
from hardsight_bench.datasets import load_dataset
from hardsight_bench.heterogeneous_ensemble import BatchView, EnsembleTask, WeightedMember, train_members
from hardsight_bench.weights_by_other_models import BY_DEFAULT, OTHER_MODELS, by_right_labels
from hardsight_bench.weights_field import InTraining, Row, control, rows
from hardsight_bench.weights_scenarios import FOLDS, IMBALANCES, LEAST, NOISES, RIGHT, Cell, list_cells, make_scenario
from hardsight_bench.weights_scores import best_fixed, list_losses, score_rows
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight import Samples
from hardsight.cli import main
from hardsight.errors import InputError
from hardsight.resampling.plan import Plan, Round
from hardsight.weights import SCHEMES
from hardsight.weights.scheme import Scheme


def digits(noise="none", imbalance="none", seed=0, **how):
    return make_scenario(Cell("digits", noise, imbalance, seed), **how)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True) if x is not None)


# Worlds


@pytest.mark.parametrize("noise, share", [("uniform-20", 0.2), ("uniform-40", 0.4), ("pair-40", 0.4), ("instance-35", 0.35)])
def test_the_share_of_wrong_labels_is_what_the_name_says(noise, share):
    found = digits(noise)
    wrong = found.y != found.true
    assert wrong.mean() == pytest.approx(share, abs=0.01)
    assert len(found.y) == 901
    step = (found.y - found.true)[wrong] % 10
    if noise == "pair-40":
        assert (step == 1).all()
    if noise == "uniform-40":
        # Nine other classes, 40 of each step: none is left out, none is preferred.
        assert np.bincount(step, minlength=10)[1:].min() > 15
        assert np.bincount(step, minlength=10)[1:].max() < 70


@pytest.mark.slow
def test_mistakes_come_from_every_class_alike_and_go_where_a_sample_looks_like():
    found = digits("instance-35")
    wrong = found.y != found.true
    np.testing.assert_allclose([wrong[found.true == c].mean() for c in range(10)], 0.35, atol=0.01)
    taken = np.unique(np.stack([found.true[wrong], found.y[wrong]]), axis=1, return_counts=True)[1]
    # A draw among all other classes alike has a largest count of about 9 here.
    assert taken.max() > 12
    p = np.exp(hs.measure(found.x, found.true, learner="logistic", folds=5, repeats=2).consensus)
    doubt = 1 - p[np.arange(len(p)), found.true]
    assert doubt[wrong].mean() > 2 * doubt[~wrong].mean()
    assert np.array_equal(digits().x, found.x)


@pytest.mark.parametrize("imbalance, factor", [("exp-10", 10), ("exp-50", 50), ("step-10", 10), ("step-50", 50)])
def test_classes_shrink_by_the_factor(imbalance, factor):
    there = np.bincount(digits().true)
    sizes = np.bincount(digits("none", imbalance).true)
    kept = np.sort(sizes / there)[::-1]
    if imbalance.startswith("exp"):
        expected = np.array([factor ** -(c / 9) for c in range(10)])
    else:
        expected = np.repeat([1, 1 / factor], 5)
    np.testing.assert_allclose(kept, np.maximum(expected, LEAST / there.max()), atol=0.01)
    assert (sizes >= LEAST).all()


def test_at_most_so_many_samples_in_the_same_proportions():
    whole, part = digits("none", "step-10"), digits("none", "step-10", most=200)
    assert len(part.y) == pytest.approx(200, abs=20)
    np.testing.assert_allclose(np.bincount(part.y) / len(part.y), np.bincount(whole.y) / len(whole.y), atol=0.015)


def test_the_tail_is_another_one_with_another_seed():
    orders = {tuple(np.argsort(sizes(seed))) for seed in range(4)}
    assert len(orders) == 4
    # And the same for all noises and factors of a seed.
    heads = [np.bincount(digits(n, i).true) > 40 for n in ("none", "pair-40") for i in ("step-10", "step-50")]
    assert all(np.array_equal(heads[0], head) for head in heads)


def sizes(seed):
    return np.bincount(digits("none", "exp-50", seed).true)


def test_the_test_is_clean_apart_and_the_same_for_all_worlds_of_a_seed():
    every = [digits(noise, imbalance) for noise in NOISES for imbalance in ("none", "exp-50")]
    assert all(same(each[3:5], every[0][3:5]) for each in every)
    known = {x.tobytes(): y for x, y in zip(*load_dataset("digits", most=5000)[:2], strict=True)}
    plain = every[0]
    assert all(known[x.tobytes()] == y for x, y in zip(plain.test_x, plain.test_y, strict=True))
    for each in every:
        assert all(known[x.tobytes()] == y for x, y in zip(each.x, each.true, strict=True))
        assert not {x.tobytes() for x in each.x} & {x.tobytes() for x in each.test_x}
    share = np.bincount(plain.test_y) / len(plain.test_y)
    np.testing.assert_allclose(share, np.bincount(list(known.values())) / len(known), atol=0.002)


@pytest.mark.slow
def test_every_class_keeps_right_labels():
    for noise in NOISES:
        for seed in range(3):
            found = digits(noise, "exp-50", seed)
            assert np.bincount(found.true[found.y == found.true], minlength=10).min() >= RIGHT


def test_a_seed_fixes_a_world():
    one, again, other = (digits("uniform-40", "exp-10"), digits("uniform-40", "exp-10"), digits("uniform-40", "exp-10", 1))
    assert same(one, again)
    assert not np.array_equal(one.x[:50], other.x[:50])


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="unknown kind of noise 'pairs'"):
        list_cells(["digits"], ["pairs"], ["none"], [0])
    with pytest.raises(InputError, match="unknown kind of imbalance 'exp'"):
        list_cells(["digits"], ["none"], ["exp"], [0])
    assert len(list_cells(["digits", "wine"], tuple(NOISES), tuple(IMBALANCES), range(5))) == 250


# Members with weights of their own

RNG = np.random.default_rng(0)
SMALL = digits("uniform-20", most=150)
SHORT = hs.Network(epochs=6, hidden=(16,))
TASK = EnsembleTask(SMALL.x, SMALL.y, SMALL.test_x[:80], SHORT)
OWN = RNG.exponential(size=(2, len(SMALL.y)))


def looked_up(weights):
    """Fixed weights, but by the hook that sees a batch."""
    table = torch.from_numpy(weights / weights.mean()).float()
    return lambda seen: (table[seen.rows] * cross_entropy(seen.logits, seen.labels, reduction="none")).mean()


class Growing:
    """A scheme with a state: only samples of a loss below the mean of those seen before."""

    def __init__(self):
        self.seen = []

    def __call__(self, seen):
        loss = cross_entropy(seen.logits, seen.labels, reduction="none")
        self.seen.append((seen.epoch, seen.rows.tolist(), loss.mean().item()))
        bound = np.mean([mean for _, _, mean in self.seen])
        return ((loss < bound).float() * loss).mean()


def refuses(seen):
    if seen.epoch > 1:
        raise InputError("no more")
    return cross_entropy(seen.logits, seen.labels)


def test_a_member_of_a_heterogeneous_ensemble_is_the_one_trained_alone(monkeypatch):
    make = {
        "plain": lambda: WeightedMember(3),
        "weighted": lambda: WeightedMember(3, OWN[0]),
        "other seed": lambda: WeightedMember(4, OWN[1]),
        "looked up": lambda: WeightedMember(3, objective=looked_up(OWN[0])),
        "with state": lambda: WeightedMember(3, objective=Growing()),
    }
    together = dict(zip(make, train_members(TASK, [one() for one in make.values()]), strict=True))
    for name, one in make.items():
        np.testing.assert_allclose(together[name], next(train_members(TASK, [one()])), atol=1e-4, err_msg=name)
    # Weights, seeds and schemes all matter; where the weights come from does not.
    np.testing.assert_allclose(together["looked up"], together["weighted"], atol=1e-4)
    unlike = ["plain", "weighted", "other seed", "with state"]
    assert all(np.abs(together[a] - together[b]).max() > 0.01 for a in unlike for b in unlike if a < b)
    monkeypatch.setattr(mixed, "_MAX_STACK", 2)
    for whole, part in zip(together.values(), train_members(TASK, [one() for one in make.values()]), strict=True):
        np.testing.assert_allclose(whole, part, atol=1e-4)


def test_a_member_is_the_network_of_measure():
    n, judged = len(TASK.y), len(TASK.test_x)
    x, y = np.concatenate([TASK.x, TASK.test_x]), np.concatenate([TASK.y, SMALL.test_y[:judged]])
    samples = Samples.of(x, y, weights=np.concatenate([OWN[0], np.ones(judged)]))
    fold = np.repeat(np.array([-1, 0], np.int32), [n, judged])
    plan = Plan([Round(fold, 1)], np.arange(len(y)), 1, 0)
    (view,) = SHORT.fit_predict(samples, plan, lambda _: None)
    (found,) = train_members(TASK, [WeightedMember(plan.member_seed(0, 0), OWN[0])])
    np.testing.assert_allclose(found, view.values, atol=1e-4)


def test_a_scheme_sees_its_rows_and_epochs_and_a_failing_one_leaves_the_others_alone():
    growing = Growing()
    found = list(
        train_members(TASK, [WeightedMember(3), WeightedMember(3, objective=refuses), WeightedMember(3, objective=growing)])
    )
    assert found[1] == "no more"
    np.testing.assert_allclose(found[0], next(train_members(TASK, [WeightedMember(3)])), atol=1e-4)
    n, steps = len(TASK.y), SHORT.steps(len(TASK.y))
    assert mixed.count_epochs(TASK) == pytest.approx(6, rel=0.1)
    np.testing.assert_allclose([epoch for epoch, _, _ in growing.seen], 64 / n * np.arange(steps))
    # One permutation after another.
    first = [row for _, rows_, _ in growing.seen for row in rows_][:n]
    assert sorted(first) == list(range(n))
    assert next(train_members(TASK, [WeightedMember(3, objective=lambda seen: seen.logits.sum() * torch.nan)])).startswith(
        "the gradient"
    )


def test_samples_without_weight_teach_nothing():
    zero = np.where(SMALL.y == SMALL.true, 1.0, 0.0)
    spoilt = TASK._replace(y=np.where(zero > 0, SMALL.y, (SMALL.y + 1) % 10))
    np.testing.assert_array_equal(*(next(train_members(task, [WeightedMember(0, zero)])) for task in (TASK, spoilt)))


# Schemes in training


def scheme(function, **how):
    return Scheme(
        name="stand-in", description="", formula="", function=function, priority="hard", scale="", source="", **how
    )


def batch(n=4):
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0], [1.0, 1.0, 1.0], [0.0, 0.5, 0.0]])[:n].requires_grad_()
    return BatchView(logits, torch.tensor([0, 1, 2, 1])[:n], torch.tensor([7, 1, 3, 5])[:n], 0.5)


LABELS = np.array([0, 1, 2, 2, 0, 1, 1, 0])


def in_training(function, **how):
    return InTraining(scheme(function, **how), LABELS, np.arange(8.0), 3.0, 0)


def test_losses_are_reduced_as_published_and_gradients_flow_as_published():
    def weigh(loss):
        return loss**2

    loss = cross_entropy(batch().logits, batch().labels, reduction="none")
    expected = {"mean": (loss**3).mean(), "sum": (loss**3).sum(), "weighted mean": (loss**3).sum() / (loss**2).sum()}
    for reduction, value in expected.items():
        torch.testing.assert_close(in_training(weigh, reduction=reduction)(batch()), value)
    for through in (False, True):
        seen = batch()
        in_training(weigh, through=through)(seen).backward()
        p = torch.softmax(seen.logits.detach(), 1) - torch.nn.functional.one_hot(seen.labels, 3)
        factor = (3 if through else 1) * loss.detach() ** 2 / 4
        torch.testing.assert_close(seen.logits.grad, factor[:, None] * p)
    nothing = in_training(lambda loss: 0 * loss, reduction="weighted mean")(batch())
    assert nothing.item() == 0


def test_a_scheme_is_told_what_it_reads():
    def read(sizes, held_out, rows, epoch, epochs, logits):
        assert sizes.tolist() == [3, 3, 2]
        assert held_out.tolist() == [7, 1, 3, 5] == rows.tolist()
        assert (epoch, epochs) == (0.5, 3.0)
        return logits.sum(1)

    torch.testing.assert_close(in_training(read, kind="loss")(batch()), batch().logits.sum(1).mean())


def test_chances_draw_the_batch_anew():
    drawn = in_training(lambda loss: torch.tensor([1e-9, 1.0, 1e-9, 3.0]), kind="sampling")
    loss = cross_entropy(batch().logits, batch().labels, reduction="none").detach()
    found = np.mean([drawn(batch()).item() for _ in range(400)])
    assert found == pytest.approx((loss[1] / 4 + 3 * loss[3] / 4).item(), abs=0.05)


def test_states_are_each_members_own():
    def count(state, loss):
        state["steps"] += 1
        return loss.detach() * 0 + state["steps"]

    one, other = (in_training(count, init=lambda shape: {"steps": torch.zeros(())}) for _ in range(2))
    first = one(batch())
    torch.testing.assert_close(one(batch()), 2 * first)
    torch.testing.assert_close(other(batch()), first)


# Rows


def test_rows_are_unique_and_schemes_enter_where_they_can():
    every = rows()
    names = [row.name for row in every]
    assert len(set(names)) == len(names)
    assert names[:3] == ["uniform", "random", "oracle"]
    assert {"spl-hard", "gce", "gce (in training)", "elr (in training)", "ohem (in training)", "balanced"} <= set(names)
    # Without a setting, with a state, of a second model, or the same as another row.
    assert not {"spl-hard (in training)", "elr", "ohem", "co-teaching", "gce-loss (in training)"} & set(names)
    assert [row.name for row in rows(["gce", "random"])] == ["uniform", "random", "oracle", "gce", "gce (in training)"]
    assert set(schemes.HELD_OUT) | set(schemes.IN_TRAINING) <= set(SCHEMES)
    with pytest.raises(InputError, match="no row is called 'spl'"):
        rows(["spl"])


def test_controls():
    found = digits("uniform-40", "exp-10")
    oracle = control("oracle", found, np.random.default_rng(0))
    right = found.y == found.true
    assert (oracle[~right] == 0).all()
    np.testing.assert_allclose(np.bincount(found.true, weights=oracle), len(found.y) / 10)
    random = control("random", found, np.random.default_rng(0))
    assert random.mean() == pytest.approx(1)
    assert random.std() == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def small_difficulty():
    return hs.measure(SMALL.x, SMALL.y, folds=2, repeats=2, learner="logistic", refine=False)


@pytest.mark.slow
def test_every_row_can_do_what_it_says(small_difficulty):
    epochs, pupils = mixed.count_epochs(TASK), []
    for row in rows():
        if row.how == "in training":
            pupils.append(WeightedMember(0, objective=schemes.objective(row, SMALL.y, small_difficulty, epochs, 0)))
            continue
        weights = schemes.weights(row, SMALL, small_difficulty, np.random.SeedSequence(0))
        assert not isinstance(weights, str), row.name
        assert weights.shape == SMALL.y.shape
        assert weights.min() >= 0
        assert weights.mean() == pytest.approx(1)
    assert len(pupils) > 30
    assert not [answer for answer in train_members(TASK, pupils) if isinstance(answer, str)]


@pytest.mark.slow
def test_a_scheme_that_cannot_weigh_says_why(small_difficulty, monkeypatch):
    monkeypatch.setitem(SCHEMES, "nothing", scheme(lambda loss: 0 * loss))
    monkeypatch.setitem(SCHEMES, "nothing", replace(SCHEMES["nothing"], name="nothing"))
    reason = schemes.weights(
        Row("nothing", "held out", SCHEMES["nothing"]), SMALL, small_difficulty, np.random.SeedSequence(0)
    )
    assert "gives no sample any weight" in reason


# Metrics and gains


def test_metrics_by_hand():
    log_prob = np.log([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    scores = study.score_predictions(log_prob, np.array([0, 0, 1, 2]))
    assert scores == pytest.approx(
        {
            "balanced_accuracy": 2.5 / 3,
            "accuracy": 0.75,
            "log_loss": -np.log([0.9, 0.2, 0.8, 0.4]).mean(),
            "worst_class": 0.5,
        }
    )


def test_the_standard_error_is_that_of_draws_of_test_samples():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [200, 50])
    # One is right far more often: what varies is the difference about its mean.
    one, other = (np.log(0.9 * rng.dirichlet([1, 1], size=250) + 0.1 * right * np.eye(2)[y]) for right in (9, 0))

    def balanced(at):
        difference = (one.argmax(1) == y)[at].astype(float) - (other.argmax(1) == y)[at]
        return np.mean([difference[y[at] == c].mean() for c in (0, 1)])

    places = [np.flatnonzero(y == c) for c in (0, 1)]
    drawn = [balanced(np.concatenate([rng.choice(at, len(at)) for at in places])) for _ in range(2000)]
    assert study.difference_standard_error(one, other, y) == pytest.approx(np.std(drawn), rel=0.06)
    assert study.difference_standard_error(one, one, y) == 0


def table(scores, se=0.0):
    """Rows of a study of one set: ``scores[noise][row]`` is a list over seeds."""
    made = []
    for noise, own in scores.items():
        for name, values in own.items():
            how = "control" if name in schemes.CONTROLS else "auto" if name == "auto" else "held out"
            for seed, value in enumerate(values):
                made.append(
                    {"set": "s", "noise": noise, "imbalance": "none", "seed": seed, "learner": "network", "row": name,
                     "how": how, "balanced_accuracy": value, "accuracy": value, "log_loss": 1.0, "worst_class": 0.0,
                     "se": se, "ess": 1.0, "seconds": 0.1, "seconds_measure": 1.0, "fault": ""}
                )  # fmt: skip
    return pd.DataFrame(made)


SCORES = {
    "none": {"uniform": [0.9, 0.92], "oracle": [0.91, 0.92], "a": [0.9, 0.9], "b": [0.88, 0.86], "auto": [0.91, 0.92]},
    "much": {"uniform": [0.5, 0.6], "oracle": [0.7, 0.8], "a": [0.6, 0.64], "b": [0.5, 0.64], "auto": [0.68, 0.74]},
}


def test_gains_by_hand():
    found = score_rows(table(SCORES))
    assert (found.all, found.wide) == (2, 1)
    a, b, auto = (found.rows[name] for name in ("a", "b", "auto"))
    # uniform .91 and .55, oracle .915 and .75: only the second has a gap.
    assert a.recovery.mean == pytest.approx(0.07 / 0.2)
    assert auto.recovery.mean == pytest.approx(0.16 / 0.2)
    assert a.difference.mean == pytest.approx((-0.01 + 0.07) / 2)
    # The best fixed schemes are uniform and a.
    assert a.regret.mean == pytest.approx(0.01 / 2)
    assert auto.regret.mean == pytest.approx((-0.005 - 0.09) / 2)
    assert found.rows["uniform"].regret.mean == pytest.approx(0.07 / 2)
    assert [found.rows[name].rank.mean for name in ("auto", "uniform", "a", "b")] == [1, 3, 2.5, 3.5]
    assert np.isnan(found.rows["oracle"].rank.mean)
    assert list(found.rows) == ["auto", "a", "uniform", "b", "oracle"]
    assert best_fixed(found.cells)["row"].tolist() == ["uniform", "a"]
    # b is .04 below uniform at least, whichever seeds are drawn; a is half a point below only in the mean.
    assert (a.harmed, b.harmed, auto.harmed) == (0, 1, 0)


def test_test_sets_that_are_too_small_to_tell_harm_nobody():
    assert score_rows(table(SCORES, se=0.05)).rows["b"].harmed == 0


@pytest.mark.slow
def test_intervals_are_paired_and_hold_the_mean():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.9, size=(30, 3))
    gain = 0.03 + 0.02 * rng.normal(size=(30, 3))
    many = {
        f"n{i:02d}": {"uniform": base[i].tolist(), "oracle": (base[i] + 0.1).tolist(), "a": (base[i] + gain[i]).tolist()}
        for i in range(30)
    }
    found = score_rows(table(many)).rows["a"].difference
    assert found.mean == pytest.approx(gain.mean())
    assert found.low < found.mean < found.high
    # The standard error of cells with seeds in them, however far apart the cells are; two stages of draws are a bit wider.
    error = np.sqrt(gain.mean(1).var() / 30 + (gain.var(1) / 3).mean() / 30)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(error, rel=0.15)


@pytest.mark.slow
def test_a_row_that_lacks_a_score_is_left_out_and_told():
    lacking = table(SCORES)
    at = (lacking["row"] == "b") & (lacking["seed"] == 1) & (lacking["noise"] == "much")
    lacking.loc[at, "balanced_accuracy"] = np.nan
    lacking.loc[at, "fault"] = "diverged"
    found = score_rows(lacking)
    assert "b" not in found.rows
    assert found.left_out == {"b": "diverged"}
    assert found.rows["uniform"].rank.mean == 2.5
    page = gains_page.render_page(lacking, {"network": found})
    assert "| b | diverged |" in page
    assert "| much | none | 0.550 | 0.620 | 0.710 | 0.750 | 0.80 |" in page


@pytest.mark.slow
def test_the_figure_shows_points_to_uniform():
    values = drawings.draw_gains(score_rows(table(SCORES))).to_dict()["data"]["values"]
    shown = {(one["row"], one["scenario"]): one["shown"] for one in values}
    assert shown["b", "none, none"] == "-4"
    assert shown["oracle", "much, none"] == "20"
    assert "uniform" not in {row for row, _ in shown}


# The whole


def run(tmp_path, *more):
    result = CliRunner().invoke(
        main,
        ["bench", "weights", "--sets", "wine", "--noises", "uniform-40", "--imbalances", "exp-10", "--seeds", "1",
         "--most", "150", "--learners", "network,logistic", "--schemes", "random,gce", "--out", str(tmp_path), "--quiet",
         *more],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return result.output, pd.read_parquet(tmp_path / "weights.parquet")


@pytest.mark.slow
def test_from_end_to_end_and_on_where_it_stopped(tmp_path, monkeypatch):
    page, found = run(tmp_path)
    assert "# What do weights gain?" in page
    assert "## logistic" in page
    assert (tmp_path / "weights-network.svg").stat().st_size > 1000
    assert found.groupby("learner")["row"].nunique().to_dict() == {"logistic": 4, "network": 5}
    assert len(found) == 9
    assert (found["fault"] == "").all()
    assert found[list(study.METRICS)].notna().all().all()
    score = found.groupby("row")["balanced_accuracy"].mean()
    assert score["oracle"] > score["uniform"] > score["random"]
    measured = []
    monkeypatch.setattr(study, "measure_difficulty", lambda *given: measured.append(given) or original(*given))
    run(tmp_path)
    assert not measured
    (tmp_path / "cells" / "logistic-wine-uniform-40-exp-10-0.parquet").unlink()
    _, again = run(tmp_path)
    assert len(measured) == 1
    columns = [name for name in found if not name.startswith("seconds")]
    pd.testing.assert_frame_equal(found[columns], again[columns])
    # A row that joins later, and one that is run again, come out as they would have with the others.
    _, joined = run(tmp_path, "--schemes", "random,superloss", "--again", "random")
    assert len(measured) == 3
    assert set(joined["row"]) == {"uniform", "oracle", "random", "superloss", "superloss (in training)"}
    one, other = (each[each["row"] == "random"]["log_loss"].to_numpy() for each in (found, joined))
    np.testing.assert_allclose(one, other, atol=1e-4)


original = study.measure_difficulty


def test_another_study_is_refused(tmp_path):
    claim_folder(tmp_path, {"protocol": study.PROTOCOL, "most": 200, "study": "weights"})
    result = CliRunner().invoke(main, ["bench", "weights", "--most", "100", "--out", str(tmp_path), "--quiet"])
    assert result.exit_code
    assert "holds another study" in result.output


@pytest.mark.slow
def test_trees_are_weighted_too():
    pytest.importorskip("lightgbm")
    found = digits("uniform-40", most=400)
    oracle = control("oracle", found, np.random.default_rng(0))
    plain, clean = (study._fit_estimator(found, weights, "lightgbm", 0) for weights in (np.ones(len(found.y)), oracle))
    score = [study.score_predictions(each, found.test_y)["balanced_accuracy"] for each in (plain, clean)]
    assert score[1] > score[0] + 0.05
    assert np.isfinite(clean).all()


@pytest.mark.slow
def test_the_truth_beats_uniform_on_noisy_digits():
    found = digits("uniform-40")
    task = EnsembleTask(found.x, found.y, found.test_x, study.KINDS["network"].network)
    oracle = control("oracle", found, np.random.default_rng(0))
    answers = train_members(task, [WeightedMember(0), WeightedMember(0, oracle)])
    plain, clean = (study.score_predictions(each, found.test_y)["balanced_accuracy"] for each in answers)
    assert clean > plain + 0.01


def test_unknown_learners_are_refused(tmp_path):
    job = study.Study(list_cells(["digits"], ["none"], ["none"], [0]), ("forest",), rows(), None, tmp_path)
    with pytest.raises(InputError, match="unknown learner 'forest'"):
        study.list_jobs(job)


@pytest.mark.slow
def test_a_class_of_fewer_labels_than_folds_is_measured_in_fewer():
    made = make_scenario(Cell("digits", "none", "none", 0), most=100)
    y = made.y.copy()
    y[np.flatnonzero(y == 4)[RIGHT:]] = 9
    difficulty = study.measure_difficulty(made._replace(y=y), "logistic", 0)
    assert difficulty.settings["splits"].startswith(f"{RIGHT} folds")
    assert FOLDS > RIGHT


def test_rows_by_other_models_are_run_on_request_and_have_no_rank(tmp_path):
    assert not {*OTHER_MODELS} & {row.name for row in rows()}
    named = rows(["auto", *OTHER_MODELS])
    assert [row.name for row in named] == ["uniform", "oracle", "auto", *OTHER_MODELS]
    jobs = study.list_jobs(study.Study([Cell("digits", "none", "none", 0)], ("network", "logistic"), named, None, tmp_path))
    assert [BY_DEFAULT in job.missing for job in jobs] == [False, True]
    better = {noise: {**own, "auto-informed": [0.95, 0.95]} for noise, own in SCORES.items()}
    scores = score_rows(table(better))
    assert [scores.rows[name].rank.mean for name in ("auto", "uniform", "a", "b")] == [1, 3, 2.5, 3.5]
    assert np.isnan(scores.rows["auto-informed"].rank.mean)
    assert list(scores.rows)[-2:] == ["auto-informed", "oracle"]
    assert best_fixed(scores.cells)["row"].tolist() == ["uniform", "a"]


@pytest.mark.slow
def test_models_of_the_right_labels_tell_wrong_labels_better_than_others():
    scenario = digits("uniform-40", "exp-10")
    right = scenario.y == scenario.true
    informed, usual = by_right_labels(scenario, 0), OTHER_MODELS[BY_DEFAULT](scenario, 0)
    assert informed.mean() == pytest.approx(1)
    assert usual.mean() == pytest.approx(1)
    assert 0 < informed[~right].sum() < usual[~right].sum()


@pytest.mark.slow
def test_right_labels_are_not_doubted_if_all_are_right():
    scenario = digits()
    balanced = 1 / np.bincount(scenario.y)[scenario.y]
    np.testing.assert_allclose(by_right_labels(scenario, 0), balanced / balanced.mean())


def test_losses_are_corrected_for_the_number_of_cells():
    # Probabilities by hand: z = -2.1, -2.7 and 1.1 are .0179, .0035 and .86; Holm's limits are .0167, .025 and .05.
    lost = {"a": 0.026, "b": 0.032, "c": -0.006}
    made = [
        {"set": name, "noise": "none", "imbalance": "none", "seed": seed, "row": row, "n_right": 10 + seed,
         "balanced_accuracy": 0.8 - (lost[name] if row == "auto" else 0), "se": 0.01 * 2**0.5}
        for name in lost for seed in (0, 1) for row in ("uniform", "auto")
    ]  # fmt: skip
    cells = list_losses(pd.DataFrame(made), "auto").reset_index().set_index("set")
    np.testing.assert_allclose(cells["points"], [-2.6, -3.2, 0.6])
    np.testing.assert_allclose(cells["p"], [0.0179, 0.0035, 0.8643], atol=1e-4)
    assert cells["harmed"].tolist() == [True, True, False]
    assert cells["n_right"].tolist() == [10, 10, 10]
    # One more cell without a loss makes the first limit .0125, and the second .0167, which .0179 misses.
    more = pd.DataFrame([*made, *({**row, "set": "d"} for row in made if row["set"] == "c")])
    assert list_losses(more, "auto")["harmed"].tolist() == [False, True, False, False]
