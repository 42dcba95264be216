"""Decisions of a review: read, checked, carried out, and weighed with."""

import csv
from contextlib import suppress
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine

import hardsight as hs
from hardsight.attribution.names import NO_CAUSE, TOO_FEW
from hardsight.cli import main
from hardsight.difficulty.decisions import add_decisions, format_decisions, parse_decisions
from hardsight.errors import InputError
from hardsight.io.csv_cells import escape_formula, unescape_formula
from hardsight.weights.from_difficulty import apply_review
from hardsight.weights.schemes.automatic import explain_weights


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    names = np.array(["red", "=white", "7"])[y]
    return hs.measure(X, names, ids=[f"w{i}" for i in range(len(y))], learner="ridge", folds=3, repeats=2)


def frame(*rows):
    return pd.DataFrame(rows, columns=["id", "action", "label"])


FOUR = frame(("w3", "drop", ""), ("w5", "relabel", "=white"), ("w7", "keep", ""), ("w9", "unsure", ""))


@pytest.mark.slow
@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["keep", "relabel"]), st.text()), max_size=5))
def test_what_is_written_is_read_again(rows):
    rows = [(name.replace("\r", "").replace("\0", "") or "x", *rest) for name, *rest in rows]
    rows = [
        (a.encode("utf-8", "replace").decode(), b, c.encode("utf-8", "replace").decode().replace("\0", ""))
        for a, b, c in rows
    ]
    again = parse_decisions(format_decisions(frame(*rows)))
    assert list(again[["id", "action", "label"]].itertuples(index=False, name=None)) == rows


@given(st.text(alphabet="'=+-@\t\r\n＝a1.", max_size=6))
def test_no_cell_begins_as_a_formula_and_escaping_is_undone(text):
    cell = escape_formula(text)
    assert unescape_formula(cell) == text
    try:
        float(text)
        number = True
    except ValueError:
        number = False
    assert number or cell[:1] not in set("=+-@\t\r\n＝＋－＠")


def test_apply_gives_labels_a_mask_and_ids(wine):
    found = wine.apply(FOUR)
    before = wine.label_names(wine.labels)
    assert found.ids is wine.ids
    assert np.flatnonzero(~found.keep).tolist() == [3]
    assert np.flatnonzero(found.labels != before).tolist() == [5]
    assert found.labels[5] == "=white"
    assert found.actions[[3, 5, 7, 9, 0]].tolist() == ["drop", "relabel", "keep", "unsure", ""]
    assert found.table.shape == (len(wine) - 1, 2)
    assert found.table.loc["w5"].tolist() == ["=white", "relabel"]
    assert (wine.label_names(wine.labels) == before).all()


def test_a_path_and_a_frame_say_the_same(wine, tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(format_decisions(FOUR), encoding="utf-8")
    assert "'=white" in path.read_text(encoding="utf-8")
    assert wine.apply(path).table.equals(wine.apply(FOUR).table)
    assert wine.apply(FOUR.set_index("id")).table.equals(wine.apply(FOUR).table)
    # As a spreadsheet may save it: a byte order mark, semicolons, columns in another order, another column.
    rows = [[label, "x", action, name] for name, action, label in FOUR.itertuples(index=False)]
    text = StringIO()
    csv.writer(text, delimiter=";").writerows([["Label", "note", "Action", "ID"], *rows])
    path.write_text(text.getvalue(), encoding="utf-8-sig")
    assert wine.apply(path).table.equals(wine.apply(FOUR).table)


def test_decisions_are_added_to_a_file_once_and_never_against_it(wine, tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(format_decisions(FOUR), encoding="utf-8")
    table, n_known = add_decisions(path, FOUR)
    assert n_known == len(table) == 4
    table, n_known = add_decisions(path, frame(("w5", "relabel", "=white"), ("w1", "drop", "")))
    assert n_known == 1
    assert table["id"].tolist() == [*FOUR["id"], "w1"]
    with pytest.raises(
        InputError, match="decides otherwise about 'w3' \\(drop there, keep now\\), 'w5' \\(relabel to '=white' "
    ):
        add_decisions(path, frame(("w3", "keep", ""), ("w5", "relabel", "red"), ("w1", "drop", "")))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("w999", "drop", "")], "1 of 1 decisions are about ids that were not measured \\('w999'; ids look like"),
        ([("w1", "drop", ""), ("w1", "keep", "")], "two decisions about id 'w1'"),
        ([("w1", "burn", "")], "the action for id 'w1' must be one of keep, relabel, drop, unsure. Got 'burn'"),
        ([("w1", "relabel", "blue")], "must be a class. Got 'blue': use one of '7', '=white', 'red'"),
        ([("w1", "relabel", "")], "the new label of id 'w1' must be a class. Got ''"),
    ],
)
def test_what_does_not_fit_is_refused(wine, rows, message):
    with pytest.raises(InputError, match=message):
        wine.apply(frame(*rows))


def test_decisions_about_another_label_are_refused(wine, tmp_path):
    """Ids that are row numbers fit any table that is long enough."""
    labels = wine.label_names(wine.labels)
    with_labels = FOUR.assign(given=labels[[3, 5, 7, 9]])
    assert wine.apply(with_labels).table.equals(wine.apply(FOUR).table)
    with_labels["given"] = ["", *labels[[5, 7]], " "]
    assert wine.apply(with_labels).table.equals(wine.apply(FOUR).table)
    with_labels.loc[2, "given"] = "=white"
    with pytest.raises(InputError, match="decision about id 'w7' is about the label '=white', but 'red' was measured"):
        wine.apply(with_labels)
    with_labels.to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(InputError, match=r"decision in .*d\.csv about id 'w7' .*, or move that file away"):
        wine.apply(tmp_path / "d.csv")


def test_labels_that_a_spreadsheet_has_written_again_are_the_same():
    d = hs.measure(
        np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2 == 1, learner="ridge", folds=2, repeats=2
    )
    assert d.classes == (False, True)
    d.apply(pd.DataFrame({"id": [0, 1], "action": "keep", "given": ["FALSE", "TRUE"]}))
    y = np.random.default_rng(1).normal(size=40) / 3
    d = hs.measure(np.random.default_rng(0).normal(size=(40, 2)), y, learner="ridge", folds=2, repeats=2)
    d.apply(pd.DataFrame({"id": [0, 1], "action": "keep", "given": [f"{y[0]:.6g}", y[1]]}))
    with pytest.raises(InputError, match="decision about id '0' is about the label"):
        d.apply(pd.DataFrame({"id": [0], "action": "keep", "given": [f"{y[0]:.2g}"]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "one column 'id'"),
        (b"id,action\n1,keep,x\n", "line 2 has 3 cells"),
        (b"\xff\xfe\xff", "not UTF-8"),
        (b'id,action\n"1,keep\n', "not a readable csv"),
        (b"id,id,action\n1,2,keep\n", "one column 'id'"),
    ],
)
def test_damaged_files_are_refused(wine, tmp_path, content, message):
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        wine.apply(tmp_path / "d.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with suppress(InputError):
        parse_decisions(content.decode("utf-8", "replace"))


def test_what_is_no_table_is_refused(wine, tmp_path):
    with pytest.raises(InputError, match="no file at"):
        wine.apply(tmp_path / "none.csv")
    with pytest.raises(InputError, match="must be the path of a csv file, or a DataFrame"):
        wine.apply([1, 2])


def test_no_decisions_are_decisions(wine):
    assert wine.apply(frame()).keep.all()


def test_classes_that_are_written_alike_cannot_be_told_apart(wine):
    d = replace(wine, classes=(1, "1", "red"))
    with pytest.raises(InputError, match="several classes are written '1'"):
        d.apply(frame(("w1", "relabel", "1")))


def test_numbers_are_relabelled_with_numbers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    d = hs.measure(X, X @ [1.0, 2.0] + rng.normal(size=60), learner="ridge", folds=3, repeats=2)
    assert d.apply(frame((4, "relabel", -2.5))).labels[4] == -2.5
    with pytest.raises(InputError, match=r"must be a finite number\. Got 'nan'"):
        d.apply(frame((4, "relabel", "nan")))
    lam = 2 * float(d.error.max())
    weights = hs.weigh(d, "spl-linear", lam=lam, decisions=frame((4, "relabel", d.predicted[4])))
    error = d.error.copy()
    # At the mean prediction what is left is the spread of the two views, before its correction by 2 / (2 - 1).
    error[4] = d.variance[4] / 2
    np.testing.assert_allclose(weights, (1 - error / lam) / (1 - error / lam).mean())


# ---- weights


def test_dropped_weigh_nothing_and_the_mean_stays_one(wine):
    weights = hs.weigh(wine, decisions=FOUR)
    assert np.flatnonzero(weights == 0).tolist() == [3]
    np.testing.assert_allclose(weights.mean(), 1)


def test_weights_are_those_of_the_result_as_reviewed(wine):
    """Against a second way: the posterior and labels changed by hand, the dropped sample taken out, the formula applied."""
    doubted = replace(wine, p_wrong=np.full(len(wine), 0.3))
    weights = hs.weigh(doubted, decisions=FOUR)
    assert (doubted.p_wrong == 0.3).all()
    by_hand = doubted.select(np.arange(len(wine)) != 3)
    by_hand.p_wrong[[4, 6]] = 0
    by_hand.labels[4] = wine.classes.index("=white")
    expected = hs.weigh(by_hand)
    np.testing.assert_allclose(weights[weights > 0], expected / expected.sum() * len(wine), rtol=1e-12)


def test_the_error_of_a_relabelled_sample_is_that_of_its_new_label():
    """Against the mean loss of the members on the new label."""
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet(np.ones(3), (4, 30)))
    labels = np.tile([0, 1, 2], 10)
    d = hs.measure_predictions(log_probs, labels)
    weights = hs.weigh(d, "spl-linear", lam=20.0, decisions=frame((5, "relabel", "0"), (3, "drop", "")))
    labels[5] = 0
    error = -log_probs[:, np.arange(30), labels].mean(0)
    by_hand = np.maximum(0, 1 - error / 20.0)
    by_hand[3] = 0
    np.testing.assert_allclose(weights, by_hand / by_hand.mean(), rtol=1e-9)


def test_decisions_that_leave_nothing_or_cannot_be_weighed_are_refused(wine):
    with pytest.raises(InputError, match="drop every sample"):
        hs.weigh(wine, decisions=frame(*((name, "drop", "") for name in wine.ids)))
    half = frame(*((name, "drop", "") for name in wine.ids[::2]))
    with pytest.raises(InputError, match="clip must be 2 or more"):
        hs.weigh(wine, clip=1.5, decisions=half)
    other = replace(wine, run=replace(wine.run, loss="brier"))
    with pytest.raises(InputError, match="known only for log-loss and squared error"):
        hs.weigh(other, "spl-linear", lam=1.0, decisions=FOUR)


def test_the_command_takes_the_file(wine, tmp_path):
    wine.save(tmp_path / "difficulty.parquet")
    (tmp_path / "decisions.csv").write_text(format_decisions(FOUR), encoding="utf-8")
    arguments = ["weigh", "difficulty.parquet", "--decisions", "decisions.csv", "-o", "w.csv"]
    named = [str(tmp_path / part) if "." in part else part for part in arguments]
    result = CliRunner().invoke(main, named)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "w.csv", index_col="id")
    np.testing.assert_allclose(table["weight"].to_numpy(), hs.weigh(wine, decisions=FOUR))
    (tmp_path / "decisions.csv").write_text("id,action\nw999,drop\n", encoding="utf-8")
    refused = CliRunner().invoke(main, named)
    assert refused.exit_code == 1
    assert "not measured" in refused.output


def test_new_labels_that_are_numbers_may_be_written_shorter():
    rng = np.random.default_rng(0)
    y = np.array([0.5, 1.0, 2.0])[np.arange(60) % 3]
    X = rng.normal(size=(60, 2)) + y[:, None]
    d = hs.measure(X, y, learner="ridge", folds=2, repeats=2, task="classification")
    labels = pd.DataFrame({"id": [0, 1], "action": "relabel", "label": [1.0, 0.5]})
    assert d.apply(labels).labels[:2].tolist() == [1.0, 0.5]
    assert d.apply(frame(("0", "relabel", "2"), ("1", "relabel", "2.0"))).labels[:2].tolist() == [2.0, 2.0]
    with pytest.raises(InputError, match="must be a class"):
        d.apply(frame(("0", "relabel", "3")))


@pytest.fixture(scope="module")
def with_single():
    """Return two clusters, of 40 and 30 samples, and the only sample of a third class, the last."""
    labels = np.array(["a"] * 40 + ["b"] * 30 + ["c"])
    X = np.random.default_rng(0).normal(size=(71, 3)) + 6 * (labels == "b")[:, None]
    return hs.measure(X, labels, learner="ridge", repeats=2)


def test_dropped_samples_count_in_no_class_where_a_class_has_one_sample(with_single):
    # Classes of 39 and 30 samples are balanced, and the single sample counts as one of a class of average size.
    first = hs.weigh(with_single, decisions=frame((0, "drop", "")))
    assert first[0] == 0
    np.testing.assert_allclose(first[[1, 40]] / first[70], [34.5 / 39, 34.5 / 30], rtol=1e-12)
    single = hs.weigh(with_single, decisions=frame((70, "drop", "")))
    np.testing.assert_allclose(single[[0, 40, 70]], [71 / 80, 71 / 60, 0], rtol=1e-12)


def test_samples_relabelled_from_or_to_a_class_of_one_sample_count_for_their_new_class(with_single):
    into_a = hs.weigh(with_single, decisions=frame((70, "relabel", "a")))
    np.testing.assert_allclose(into_a[[0, 40, 70]], [71 / 82, 71 / 60, 71 / 82], rtol=1e-12)
    into_c = hs.weigh(with_single, decisions=frame((0, "relabel", "c")))
    np.testing.assert_allclose(into_c[[0, 1, 40]] / into_c[70], [1, 34.5 / 39, 34.5 / 30], rtol=1e-12)


@pytest.mark.parametrize("decision", [(0, "drop", ""), (70, "relabel", "a"), (0, "relabel", "c"), (70, "keep", "")])
def test_the_explanation_after_a_review_has_the_numbers_of_its_weights(with_single, decision):
    weights, review = hs.weigh(with_single, decisions=frame(decision)), apply_review(with_single, frame(decision))
    words = explain_weights(review.difficulty, weights[review.rows], review.certain)
    assert f"the largest weight is {weights[40]:.3g} in 'b' and {weights[1]:.3g} in 'a'" in words


def test_a_reviewed_label_of_a_rare_class_is_no_longer_too_few_to_tell(with_single):
    cause = with_single.cause.copy()
    cause[0] = TOO_FEW
    rare = replace(with_single, cause=cause, p_wrong=np.where(np.arange(71) == 0, 0.1, with_single.p_wrong))
    reviewed = apply_review(rare, frame((0, "keep", ""))).difficulty
    assert list(reviewed.cause[[0, 70]]) == [NO_CAUSE, TOO_FEW]
