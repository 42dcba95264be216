"""`hardsight apply` on a folder with one folder per class, and `hardsight undo`."""

import numpy as np
import pandas as pd
import pytest
from support.command_line import error_line, run

import hardsight as hs


@pytest.fixture
def result(tmp_path):
    """A folder of texts, three of them in the wrong folder, and its result."""
    rng, folder = np.random.default_rng(0), tmp_path / "texts"
    words = {"cat": ["purr", "whiskers", "meow"], "dog": ["bark", "fetch", "leash"]}
    for kind, other in (("cat", "dog"), ("dog", "cat")):
        (folder / kind).mkdir(parents=True)
        for number in range(30):
            vocabulary = words[other if number in {"cat": (3, 4), "dog": (7,)}[kind] else kind]
            (folder / kind / f"{number}.txt").write_text(f"{' '.join(rng.choice(vocabulary, 4))} {number}")
    d = hs.measure(hs.read(folder), learner="logistic", repeats=2, progress=False)
    (tmp_path / "out").mkdir()
    d.save(tmp_path / "out" / "difficulty.parquet")
    decisions = pd.DataFrame({
        "id": ["cat/3.txt", "cat/4.txt", "dog/7.txt", "dog/8.txt", "dog/9.txt"],
        "action": ["relabel", "drop", "relabel", "keep", "relabel"],
        "label": ["dog", "", "cat", "", "dog"],
    })  # fmt: skip
    decisions.to_csv(tmp_path / "out" / "decisions.csv", index=False)
    return tmp_path


def tree(folder):
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def test_files_are_moved_and_put_back(result):
    folder, out = result / "texts", result / "out"
    before = tree(folder)
    shown = run("apply", out, folder, "--preview").output
    assert "cat/3.txt → dog/3-2.txt: cat (p " in shown
    assert "that name already exists there" in shown
    assert "cat/4.txt → .dropped/cat/4.txt: cat (p " in shown
    assert "dog/9.txt" not in shown
    assert "cat → dog" in shown
    assert "cat → dropped" in shown
    assert tree(folder) == before
    declined = run("apply", out, folder, input="n\n")
    assert "Move 3 files in" in declined.output
    assert declined.exit_code == 1
    assert tree(folder) == before
    done = run("apply", out, folder, input="y\n")
    assert done.exit_code == 0, done.output
    after = tree(folder)
    assert after["dog/3-2.txt"] == before["cat/3.txt"]
    assert after["cat/7-2.txt"] == before["dog/7.txt"]
    assert after[".dropped/cat/4.txt"] == before["cat/4.txt"]
    assert len(hs.read(folder)) == 59
    assert "is about files that were moved before" in error_line("apply", out, folder, "--yes")
    (out / "undo.json").rename(out / "first.json")
    assert "samples are not files in" in error_line("apply", out, folder, "--yes")
    undone = run("undo", out / "first.json")
    assert "put back 3 files" in undone.output
    assert tree(folder) == before


def test_suggestions_move_the_files_in_the_wrong_folder(result):
    folder, out = result / "texts", result / "out"
    (out / "decisions.csv").unlink()
    done = run("apply", out, folder, "--suggestions", "--yes")
    assert done.exit_code == 0, done.output
    assert {"dog/3-2.txt", "dog/4-2.txt", "cat/7-2.txt"} <= tree(folder).keys()
    assert run("undo", out).exit_code == 0


def test_faults_take_one_line(result):
    folder, out = result / "texts", result / "out"
    assert "60 of 60 samples are not files in" in error_line("apply", out, folder / "cat", "--yes")
    table = result / "a.csv"
    table.write_text("a,y\n1,2\n")
    assert "name the column of the labels with --label" in error_line("apply", out, table, status=2)
    for name in ("cat/3.txt", "dog/7.txt"):
        (folder / name).rename(folder / f"{name}.bak")
    assert "2 of 60 samples are not files in" in error_line("apply", out, folder, "--yes")
    assert not (out / "undo.json").exists()


def test_the_effect_is_summed_by_given_and_new_label(result):
    d = hs.load(result / "out")
    forecast = d.forecast(result / "out" / "decisions.csv")
    table, changes = forecast.table, forecast.changes
    assert changes.index.tolist()[:2] == [("cat", "dog"), ("cat", None)] or len(changes) == 3
    assert changes["samples"].sum() == 3
    for name in ("put_right", "spoilt", "still_wrong", "unknown", "dropped_right"):
        assert changes[name].sum() == pytest.approx(table[name].sum())
    pair = changes.loc[[index == ("dog", "cat") for index in changes.index]]
    row = d.ids.tolist().index("dog/7.txt")
    assert pair["put_right"].tolist() == pytest.approx([d.p_suggested[row]])
    assert pair["spoilt"].tolist() == pytest.approx([1 - d.p_wrong[row]])


def test_splits_and_merged_spellings_keep_their_folders(tmp_path):
    for split in ("train", "test"):
        for kind in ("Cat", "cat ", "dog") if split == "train" else ("Cat", "dog"):
            (tmp_path / "pets" / split / kind).mkdir(parents=True)
            for number in range(4):
                (tmp_path / "pets" / split / kind / f"{kind.strip()}{number}{split}.txt").write_text(
                    f"{kind} {number} {split}"
                )
    samples = hs.read(tmp_path / "pets", split=["train", "test"], merge_spellings=True)
    p = np.full((2, len(samples), 2), 0.5)
    d = hs.measure_predictions(p, np.array(samples.classes)[samples.labels], ids=samples.ids)
    from hardsight.reporting.review.apply_folder import plan_moves

    rows = pd.DataFrame({"id": ["test/dog/dog0test.txt"], "action": ["relabel"], "label": [str(samples.classes[0])]})
    (planned,) = plan_moves(tmp_path / "pets", d, rows)
    assert planned.move.target == "test/Cat/dog0test.txt"
