"""The study of measures: methods see what they should and score as their sources say, and ranks are right."""

import json
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hardsight_bench import figures as drawings
from hardsight_bench import humans, ranks
from hardsight_bench import measures_methods as methods
from hardsight_bench import measures_study as grid
from hardsight_bench import tables as words
from hardsight_bench.corruptions import KINDS
from hardsight_bench.datasets import load_dataset
from hardsight_bench.hcat_training import EpochOutput, HcatTraining
from hardsight_bench.measures_methods import METHODS, MethodInput, MethodScore, check_scores, load_user_method, run_method
from hardsight_bench.measures_study import (
    Cell,
    Study,
    list_cells,
    precision_at_n,
    rank_stability,
    run_study,
    score_detection,
)
from scipy.stats import friedmanchisquare, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

import hardsight as hs
from hardsight.cli import main
from hardsight.errors import InputError


def hardened(kind="uniform", share=0.15, most=150):
    found = load_dataset("digits", most=most)
    return KINDS[kind].make(found, share, np.random.default_rng(5))


def given(hard, seed=0):
    return MethodInput(hard.x, hard.y, True, np.random.SeedSequence(seed))


@pytest.fixture(scope="module")
def scores():
    """All scores of the field on digits with flipped labels."""
    for peer in ("cleanlab", "aum"):
        pytest.importorskip(peer)
    hard = hardened()
    return hard, {one.measure: one for name in METHODS for one in run_method(name, METHODS[name], given(hard))}


@pytest.mark.slow
def test_every_measure_and_every_peer_scores(scores):
    _, found = scores
    assert not {name: one.fault for name, one in found.items() if one.fault}
    assert all(one.values.shape == (150,) and one.values.dtype == np.float64 for one in found.values())
    assert {one.by for one in found.values()} == {"hardsight", "classic", "cleanlab", "aum", "control"}
    classic = {name.rpartition(" (")[0] for name in found if found[name].by == "classic"}
    # It needs gradients of the inputs, which the study does not record.
    assert classic == set(hs.MEASURES) - {"cumulative-input-gradient"}
    trained = {name: one.trainings for name, one in found.items()}
    for name, trainings in trained.items():
        text = name.rpartition("(")[2].rstrip(")").split()[0] if "(" in name else "0"
        if text == "50":
            # And those of the pilot, five for each length that it tries.
            assert trainings in (60, 65, 70), name
        else:
            assert trainings == (0 if text in ("inputs", "0") else int(text)), name
    assert all(one.seconds > 0 for one in found.values() if one.trainings)


def test_scores_point_to_wrong_labels(scores):
    hard, found = scores
    # What looks at the label in held-out predictions finds nearly all of these.
    for name in ("hardness (50)", "error (50)", "p_wrong (50)", "noise (50)", "self-confidence (50)", "c-score (50)",
                 "normalized-margin (50)", "cleanlab self_confidence (10)", "cleanlab normalized_margin (10)",
                 "cleanlab self_confidence, adjusted (10)", "knn-disagreement (inputs)"):  # fmt: skip
        assert roc_auc_score(hard.hard, found[name].values) > 0.85, name
    # In-sample, after few steps, it is harder.
    for name in ("loss (1)", "aum (1)", "aum package (1)", "el2n (10 early)", "confidence (10)",
                 "second-split-forgetting (2)", "cleanlab kNN-Shapley (inputs)"):  # fmt: skip
        assert roc_auc_score(hard.hard, found[name].values) > 0.65, name


def test_our_aum_is_that_of_its_package(scores):
    _, found = scores
    np.testing.assert_allclose(found["aum (1)"].values, found["aum package (1)"].values, atol=1e-5)


def test_held_out_measures_are_those_of_the_same_models(scores):
    _, found = scores
    lines = sum(found[f"{name} (50)"].values for name in ("noise", "imbalance", "margin", "uncertainty"))
    np.testing.assert_allclose(lines, found["error (50)"].values, atol=1e-9)
    # By Jensen's inequality the mean loss is above the loss of the mean probability.
    doubt = found["self-confidence (50)"].values
    assert (found["error (50)"].values >= -np.log1p(-doubt) - 1e-9).all()
    wrong = found["c-score (50)"].values * 10
    np.testing.assert_allclose(wrong, wrong.round(), atol=1e-9)


def test_the_second_split_is_judged_on_samples_that_training_left(monkeypatch):
    class Fake(HcatTraining):
        """Right on what it is trained on now, wrong on all else."""

        def epochs(self, count, rows=None):
            right = torch.zeros(len(self.labels), dtype=torch.bool)
            right[rows] = True
            own = torch.nn.functional.one_hot(self.labels, 10).float()
            for _ in range(count):
                yield EpochOutput(torch.where(right[:, None], own, -own), own, own)

    monkeypatch.setattr(methods, "HcatTraining", Fake)
    (found,) = run_method("second split", METHODS["second split"], given(hardened()))
    # Forgotten before the first view; whoever is judged on what is trained would never forget.
    np.testing.assert_array_equal(found.values, 0)


@pytest.mark.slow
def test_as_many_models_are_trained_as_is_said(monkeypatch):
    trained = []

    def spy(*samples, **how):
        result = hs.measure(*samples, **how)
        trained.append(result.settings["members"])
        return result

    monkeypatch.setattr(methods, "measure", spy)
    run_method("ensembles", METHODS["ensembles"], given(hardened(most=60)))
    assert trained == [10, 50]


@pytest.mark.slow
def test_a_seed_fixes_all_scores_and_another_changes_them():
    hard = hardened(most=80)
    for name in ("dynamics", "second split", "trainings", "untrained", "control"):
        first, again, other = (run_method(name, METHODS[name], given(hard, seed)) for seed in (1, 1, 2))
        for mine, theirs in zip(first, again, strict=True):
            np.testing.assert_array_equal(mine.values, theirs.values)
        if name != "untrained":
            assert any((mine.values != theirs.values).any() for mine, theirs in zip(first, other, strict=True))


def test_labels_without_gaps_and_features_on_one_scale():
    x = np.random.default_rng(0).normal(3, [1, 5, 0], size=(50, 3)).astype(np.float32)
    found = MethodInput(x, np.arange(50) % 2 * 7, False, np.random.SeedSequence(0))
    assert found.labels.tolist() == [0, 1] * 25
    np.testing.assert_allclose(found.inputs.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found.inputs.std(0, correction=0)[:2], 1, rtol=1e-5)
    np.testing.assert_allclose(found.inputs[:, 2], 0, atol=1e-5)
    assert MethodInput(x, np.zeros(50), True, np.random.SeedSequence(0)).inputs is not None
    np.testing.assert_array_equal(MethodInput(x, np.zeros(50), True, np.random.SeedSequence(0)).inputs, x)


def test_the_plain_training_learns_from_its_rows_alone():
    found = given(hardened(share=0.01))
    first, *_, last = HcatTraining(found.inputs, found.labels, np.random.SeedSequence(1)).epochs(30)
    losses = [torch.nn.functional.cross_entropy(passed.logits, found.labels) for passed in (first, last)]
    assert losses[1] < 0.5 * losses[0]
    rows = torch.arange(50)
    training = HcatTraining(found.inputs, found.labels, np.random.SeedSequence(1))
    *_, part = training.epochs(3, rows)
    changed = found.inputs.clone()
    changed[50:] = 0
    other = HcatTraining(changed, found.labels, np.random.SeedSequence(1))
    *_, same = other.epochs(3, rows)
    torch.testing.assert_close(part.logits[:50], same.logits[:50])
    # It goes on from where it is.
    *_, more = training.epochs(2, rows)
    whole = HcatTraining(found.inputs, found.labels, np.random.SeedSequence(1))
    *_, five = whole.epochs(5, rows)
    torch.testing.assert_close(more.logits, five.logits)


def test_what_the_plain_training_tells_is_consistent():
    found = given(hardened())
    training = HcatTraining(found.inputs, found.labels, np.random.SeedSequence(1))
    *_, passed = training.epochs(2)
    net = training._net
    torch.testing.assert_close(passed.logits, net(found.inputs))
    torch.testing.assert_close(passed.logits, net[2](passed.features))
    x = found.inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(x).gather(1, found.labels[:, None]).sum(), x)
    torch.testing.assert_close(passed.input_gradients, gradient)


def test_a_measure_that_fails_is_told_of():
    def entrant(found):
        pool = methods._Pool(3, 7).stop_clock()
        yield pool.score("good", "yours", lambda: [1, 2, 3])
        yield pool.score("short", "yours", lambda: [1, 2])
        yield pool.score("odd", "yours", lambda: [1, np.nan, 3])
        yield pool.score("absent", "peer", lambda: __import__("no_such_package"))
        raise RuntimeError("out of luck\nand more")

    good, short, odd, absent, last = run_method("mine", entrant, given(hardened()))
    assert good.values.tolist() == [1, 2, 3]
    assert good.trainings == 7
    assert good.fault == ""
    assert "must return one score per sample, shape (3,). Got (2,)" in short.fault
    assert "1 of 3 scores are NaN: give every sample a number" in odd.fault
    assert "ModuleNotFoundError: No module named 'no_such_package'" in absent.fault
    assert last == MethodScore("mine", "", 0, 0.0, None, "RuntimeError: out of luck")
    assert check_scores([np.inf, 1], 2)[0] == np.inf


MODULE = """
import numpy as np
calls = []
def norm(x, y, seed):
    calls.append(seed)
    x[:] = 0
    return np.linalg.norm(x, axis=1) + y
def short(x, y, seed):
    return [1.0]
number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "my_measures.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    sys.modules.pop("my_measures", None)


def test_a_measure_of_yours(mine):
    hard = hardened()
    before = hard.x.copy()
    (found,) = run_method("my_measures:norm", load_user_method("my_measures:norm"), given(hard))
    np.testing.assert_array_equal(found.values, hard.y)
    assert (found.measure, found.by, found.fault) == ("my_measures:norm", "yours", "")
    # It may do with its arguments what it likes.
    np.testing.assert_array_equal(hard.x, before)
    for name, text in (
        ("my_measures", "a measure must be named module:function. Got 'my_measures'"),
        ("no_such:norm", "measure no_such:norm not found: No module named 'no_such'"),
        ("my_measures:none", "has no attribute 'none'"),
        ("my_measures:number", "my_measures:number is not a function"),
    ):
        with pytest.raises(InputError, match=text):
            load_user_method(name)


def test_cells_that_make_sense():
    found = list_cells(["digits", "wine"], ["uniform", "zoom", "marginal"], [0.1, 0.4], range(2), None)
    assert {(c.set, c.kind, c.share) for c in found} == {
        ("digits", "uniform", 0.1), ("digits", "uniform", 0.4), ("digits", "zoom", 0.1),
        ("wine", "uniform", 0.1), ("wine", "uniform", 0.4), ("wine", "marginal", 0.1), ("wine", "marginal", 0.4),
    }  # fmt: skip
    assert len(found) == 14
    states = {tuple(stream.generate_state(2)) for c in found for stream in (c.stream, *c.stream.spawn(3))}
    assert len(states) == 4 * len(found)
    parent = found[0].stream
    own = [grid.method_stream(parent, name) for name in ("dynamics", "control")]
    assert len({tuple(stream.generate_state(2)) for stream in (*own, parent, *parent.spawn(2))}) == 5
    with pytest.raises(InputError, match="unknown kind of corruption 'blur': choose from uniform"):
        list_cells(["digits"], ["blur"], [0.1], [0], None)
    with pytest.raises(InputError, match=r"shares must be between 0 and 1\. Got 1\.5"):
        list_cells(["digits"], ["uniform"], [1.5], [0], None)
    with pytest.raises(InputError, match="no cell is left"):
        list_cells(["wine"], ["zoom"], [0.1], [0], None)


@pytest.mark.slow
def test_precision_counts_ties_in_part():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, hard = rng.integers(4, size=30).astype(float), rng.random(30) < 0.3
        hard[0] = True
        found = []
        for _ in range(4000):
            order = np.argsort(-(values + 1e-6 * rng.random(30)))
            found.append(hard[order[: hard.sum()]].mean())
        assert precision_at_n(values, hard) == pytest.approx(np.mean(found), abs=0.02)


def test_higher_is_harder_and_lift_is_over_the_base_rate():
    hard = np.array([True, False, False, True, False, False, False, False])
    found = score_detection(MethodScore("m", "b", 1, 0.0, np.array([5.0, 1, 2, 4, 3, 0, 0, -np.inf])), hard)
    assert found == {"base": 0.25, "auroc": 1.0, "auprc": 1.0, "lift": 4.0, "precision": 1.0}
    mixed = np.array([5.0, 1, 2, 3.5, 4, 0, 0, 0])
    found = score_detection(MethodScore("m", "b", 1, 0.0, mixed), hard)
    assert found["auprc"] == pytest.approx(average_precision_score(hard, mixed)) == pytest.approx((1 + 2 / 3) / 2)
    nothing = score_detection(MethodScore("m", "b", 1, 0.0, None, "why"), hard)
    assert nothing["base"] == 0.25
    assert np.isnan(nothing["auprc"])


def test_stability_is_the_mean_rank_correlation_of_pairs():
    a, b, c = np.array([1.0, 2, 3]), np.array([10.0, 20, 30]), np.array([3.0, 2, 1])
    assert rank_stability([a, b]) == pytest.approx(1)
    assert rank_stability([a, b, c]) == pytest.approx(-1 / 3)
    assert np.isnan(rank_stability([a]))


def quick(monkeypatch):
    """A field that costs nothing: a measure without chance, one that is chance alone, and one that fails."""
    runs = []

    def entrant(found):
        runs.append(found.stream)
        rng = np.random.default_rng(found.stream)
        yield MethodScore("hardness (50)", "hardsight", 50, 1.0, found.x.std(1).astype(float))
        yield MethodScore("noise", "classic", 1, 0.1, rng.random(len(found.y)))

    monkeypatch.setattr(grid, "METHODS", {"quick": entrant, "broken": lambda found: iter([1 / 0])})
    return runs


def study(out, measures=(), seeds=2):
    return Study(
        list_cells(["digits", "wine"], ["near", "blend"], (0.1, 0.2), range(seeds), None), None, out, 100, 1, measures
    )


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_and_new_measures_join(monkeypatch, mine):
    runs = quick(monkeypatch)
    faults = []
    rows = run_study(study(mine / "out", seeds=1), on_progress=faults.append)
    assert faults == [["broken: ZeroDivisionError: division by zero"]] * 8
    # Two sets, two kinds, two shares; seed 0 at share .1 runs twice, to see how stable scores are.
    assert len(runs) == 8 + 4
    assert len({tuple(stream.generate_state(2)) for stream in runs}) == 12
    stable = rows[rows["stability"].notna()]
    assert set(stable["share"]) == {0.1}
    assert stable.set_index("measure")["stability"]["hardness (50)"].gt(1 - 1e-9).all()
    assert stable.set_index("measure")["stability"]["noise"].abs().lt(0.5).all()
    again = run_study(study(mine / "out", seeds=1), on_progress=faults.append)
    assert len(runs) == 12
    assert len(faults) == 8
    pd.testing.assert_frame_equal(rows, again)
    more = run_study(study(mine / "out", ("my_measures:norm",)))
    assert len(runs) == 20
    assert len(more) == 16 * 4
    assert (more["measure"] == "my_measures:norm").sum() == 16
    pd.testing.assert_frame_equal(more, pd.read_parquet(mine / "out" / "measures.parquet"))
    without = run_study(study(mine / "out", seeds=1))
    pd.testing.assert_frame_equal(rows, without)
    other = study(mine / "out")._replace(most=99)
    with pytest.raises(InputError, match=r"holds another study, .*'most': 100.*choose another folder"):
        run_study(other)
    with pytest.raises(InputError, match="measure my_measures:absent not found"):
        run_study(study(mine / "out", ("my_measures:absent",)))


@pytest.mark.slow
def test_processes_find_the_same(tmp_path):
    few = [Cell("wine", kind, 0.2, 0) for kind in ("near", "uniform")]
    one, two = (
        run_study(Study(few, None, tmp_path / str(jobs), again=0, only_methods=("dynamics", "control")), jobs)
        for jobs in (1, 2)
    )
    same = [name for name in one if name != "seconds"]
    pd.testing.assert_frame_equal(one[same], two[same])
    assert not one["fault"].any()
    assert (one["trainings"] == two["trainings"]).all()


def table(scores):
    """Rows of a study from {measure: {(set, kind): score}}."""
    return pd.DataFrame(
        [
            {"set": s, "kind": k, "share": 0.1, "seed": seed, "measure": m, "by": "classic", "trainings": 1, "fault": "",
             "seconds": 1.0, "auprc": score + 0.01 * seed, "auroc": score, "lift": 2.0, "precision": 0.5, "stability": 0.9}
            for m, by in scores.items() for (s, k), score in by.items() for seed in (0, 1)
        ]
    )  # fmt: skip


def test_ranks_by_hand():
    places = [("a", "near"), ("b", "near"), ("a", "rare")]
    rows = table(
        {
            "hardness (50)": dict(zip(places, (0.9, 0.8, 0.2), strict=True)),
            "two": dict(zip(places, (0.7, 0.9, 0.2), strict=True)),
            "three": dict(zip(places, (0.6, 0.1, 0.5), strict=True)),
        }
    )
    ranking = ranks.rank_measures(rows)
    # Ranks: near 1 2 3 and 2 1 3, rare 2.5 2.5 1.
    assert ranking.mean.to_dict() == pytest.approx({"hardness (50)": 5.5 / 3, "two": 5.5 / 3, "three": 7 / 3})
    assert ranking.by_kind.loc["hardness (50)"].to_dict() == {"near": 1.5, "rare": 2.5}
    assert ranking.by_kind.loc["three"].to_dict() == {"near": 3.0, "rare": 1.0}
    assert ranking.blocks == 3
    assert ranking.p == pytest.approx(friedmanchisquare([1, 2, 2.5], [2, 1, 2.5], [3, 3, 1]).pvalue)
    assert ranking.left_out == []
    # Another share is not another block.
    assert ranks.rank_measures(pd.concat([rows, rows.assign(share=0.2)])).blocks == 3
    page = words.measures_page(rows, ranking)
    assert "2 data sets (a, b), 2 kinds of hardness, shares 0.1, 2 seeds; 3 measures" in page
    assert "The middle of the field is rank 2." in page
    assert "| near | noise on every feature | 1.5 | 1 of 3 | yes | 0.855 | hardness (50) (1.5; 0.855) |" in page
    assert "| rare | a third of the classes, of which this share is left | 2.5 | 2 of 3 | **no** | 0.205 |" in page
    assert "| three | classic | 1 | 1.00 | 2.3 | 3.0 (near) |" in page
    assert "Without a score" not in page


def test_a_measure_without_a_score_somewhere_is_left_out_and_told():
    rows = table({name: {("a", "near"): 0.5, ("a", "rare"): score} for name, score in (("x", 0.4), ("y", 0.6), ("z", 0.1))})
    rows.loc[(rows["measure"] == "z") & (rows["kind"] == "near") & (rows["seed"] == 1), ["auprc", "fault"]] = [np.nan, "no"]
    ranking = ranks.rank_measures(rows)
    assert ranking.left_out == ["z"]
    assert list(ranking.mean.index) == ["y", "x"]
    page = words.measures_page(rows, ranking)
    assert "| z | 1 | no |" in page
    assert "`hardness (50)` lacks a score" in page


def test_critical_distances_of_the_literature():
    # Demšar 2006, table 5(a): q = 2.343, 2.569, 2.728, 3.164 for 3, 4, 5, 10 methods; CD = q sqrt(k (k + 1) / (6 N)).
    for k, q in ((3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)):
        assert ranks.critical_distance(k, 14) == pytest.approx(q * (k * (k + 1) / (6 * 14)) ** 0.5, abs=2e-3)


def test_figures_are_drawn(tmp_path):
    ranking = ranks.rank_measures(table({name: {("a", "near"): i / 9, ("b", "rare"): 0.3} for i, name in enumerate("pqr")}))
    for name, chart in (("ranks", drawings.draw_mean_ranks(ranking)), ("kinds", drawings.draw_rank_heatmap(ranking))):
        drawings.write_figure(chart, tmp_path / "deep" / f"{name}.svg")
        drawn = (tmp_path / "deep" / f"{name}.svg").read_text()
        assert drawn.startswith("<svg")
        assert all(f">{one}<" in drawn for one in "pqr")
    values = drawings.draw_mean_ranks(ranking).to_dict()["data"]["values"]
    assert [v["measure"] for v in values] == list(ranking.mean.index)
    assert all(v["high"] - v["low"] == pytest.approx(ranking.distance) for v in values)
    assert all(v["low"] + v["high"] == pytest.approx(2 * v["rank"]) for v in values)
    assert all(one["rank"] <= other["rank"] for one, other in pairwise(values))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*: choose another folder"):
        drawings.write_figure(drawings.draw_rank_heatmap(ranking), tmp_path / "file" / "x.svg")


def test_the_command(monkeypatch, tmp_path):
    quick(monkeypatch)
    how = ["--kinds", "near,blend", "--shares", "0.1", "--seeds", "1", "--most", "60", "--quiet", "--out", str(tmp_path)]
    shown = CliRunner().invoke(main, ["bench", "measures", *how])
    assert shown.exit_code == 0, shown.output
    assert "# Which measure finds hard samples?" in shown.stdout
    assert "3 data sets (digits, wine, breast-cancer), 2 kinds of hardness" in shown.stdout
    assert shown.stderr == "no score: broken: ZeroDivisionError: division by zero\n"
    assert {"measures.parquet", "measures-ranks.svg", "measures-kinds.svg"} < {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "study.json").read_text())["most"] == 60
    wrong = CliRunner().invoke(main, ["bench", "measures", "--shares", "a,b"])
    assert wrong.exit_code == 2
    assert "--shares must be numbers separated by commas. Got 'a,b'" in wrong.output
    absent = CliRunner().invoke(main, ["bench", "measures", "--sets", "mnist", "--out", str(tmp_path)])
    assert absent.exit_code == 1
    assert "unknown data set 'mnist'" in absent.output


@pytest.mark.slow
def test_votes_and_their_ceiling():
    votes = np.array([[10, 0, 0], [5, 5, 0], [4, 3, 3]])
    expected = [0, np.log(2), -(0.4 * np.log(0.4) + 0.6 * np.log(0.3))]
    np.testing.assert_allclose(humans.entropy(votes), expected, atol=1e-12)
    np.testing.assert_allclose(humans.minority_share(votes), [0, 0.5, 0.6])
    # The correlation of two panels as large, drawn anew, is the reliability, whose root is the ceiling.
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1, 1], size=3000)
    first, second = (np.stack([rng.multinomial(20, p) for p in chances]) for _ in range(2))
    reliability = spearmanr(humans.minority_share(first), humans.minority_share(second)).statistic
    assert humans.correlation_ceiling(first, humans.minority_share, rng) == pytest.approx(reliability**0.5, abs=0.015)


def test_one_rater_is_drawn_from_the_votes():
    votes = np.tile([[2, 0, 6]], (20_000, 1))
    drawn = humans.draw_one_rater(votes, np.random.default_rng(0))
    assert np.bincount(drawn, minlength=3)[1] == 0
    assert (drawn == 2).mean() == pytest.approx(0.75, abs=0.015)


def test_correlations_within_classes():
    y = np.repeat([0, 1], [30, 10])
    target = np.r_[np.arange(30.0), np.arange(10.0) + 100]
    values = np.r_[np.arange(30.0), -np.arange(10.0) - 100]
    pooled, within = humans.rank_correlations(values, target, y)
    assert within == pytest.approx((30 - 10) / 40)
    assert pooled == pytest.approx(spearmanr(values, target).statistic)
    assert humans.rank_correlations(np.ones(40), target, y) == (0.0, 0.0)


@pytest.fixture
def ratings(tmp_path):
    """A file of ratings: texts near zero are disputed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    mean = 3 * x[:, 0]
    table = pd.DataFrame({"ratings": [(m + 2 * rng.normal(size=20)).clip(-4, 4).round() for m in mean], "embedding": [*x]})
    table.to_parquet(tmp_path / "human_ratings_movies.parquet")
    return tmp_path


@pytest.mark.slow
def test_models_find_hard_what_raters_dispute(ratings, monkeypatch):
    rows = pd.DataFrame(humans.compare_measures("movies", ratings, 120, 0, ("dynamics", "control"))).set_index("measure")
    assert rows.loc["entropy (1)", "entropy"] > 0.4 > 0.25 > abs(rows.loc["random", "entropy"])
    assert 0.7 < rows["entropy_ceiling"].iloc[0] < 1
    assert 0.05 < rows["wrong"].iloc[0] < 0.5
    assert rows.loc["loss (1)", "auroc"] > 0.75 > 0.65 > rows.loc["random", "auroc"]
    again = pd.DataFrame(humans.compare_measures("movies", ratings, 120, 0, ("control",))).set_index("measure")
    # What an entrant draws does not depend on who else enters.
    assert again.loc["random", "entropy"] == rows.loc["random", "entropy"]
    monkeypatch.setattr(humans, "METHODS", {name: METHODS[name] for name in ("untrained", "control")})
    how = ["--folder", str(ratings), "--sets", "movies", "--seeds", "1", "--most", "60", "--quiet"]
    shown = CliRunner().invoke(main, ["bench", "humans", *how, "--out", str(ratings / "out")])
    assert shown.exit_code == 0, shown.output
    assert "## movies\n\nCeilings: entropy" in shown.stdout
    assert "| random | control | 0 |" in shown.stdout
    assert len(pd.read_parquet(ratings / "out" / "humans.parquet")) == 6
