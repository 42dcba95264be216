"""The command as users meet it: what it writes and prints, and one line for whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_iris
from support.command_line import error_line, run

import hardsight as hs
from hardsight.attribution.names import CAUSES, FACTORS
from hardsight.cli import commands, main
from hardsight.difficulty.actions import RECOMMENDATIONS


@pytest.fixture
def iris(tmp_path):
    frame = load_iris(as_frame=True).frame
    frame["flower"] = [f"f{i:03d}" for i in range(len(frame))]
    frame["kind"] = load_iris().target_names[frame.pop("target")]
    path = tmp_path / "iris.csv"
    frame.to_csv(path, index=False)
    return path


QUICK = ("--learner", "ridge", "--repeats", "2", "--quiet")


def test_measure_writes_both_files_and_prints_a_summary(iris, tmp_path):
    out = tmp_path / "results"
    result = run("measure", iris, "--label", "kind", "--id", "flower", "--out", out, *QUICK)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["difficulty.csv", "difficulty.parquet", "report.html", "review.html"]
    d = hs.load(out / "difficulty.parquet")
    assert list(d.ids[:2]) == ["f000", "f001"]
    assert d.settings["source"] == "iris.csv"
    assert "150 samples" in result.output
    assert str(d.hardest(1).index[0]) in result.output
    assert "± s.e." in result.output
    assert "<html" in (out / "report.html").read_text(encoding="utf-8")


def test_json_is_one_object_with_the_same_numbers(iris, tmp_path):
    out = tmp_path / "results"
    result = run("measure", iris, "--label", "kind", "--drop", "flower", "--out", out, "--json", *QUICK)
    summary = json.loads(result.output)
    d = hs.load(out / "difficulty.parquet")
    assert summary["samples"] == 150
    assert summary["error"] == pytest.approx(d.error.mean())
    assert [row["id"] for row in summary["hardest"]] == d.hardest(10).index.tolist()
    assert sum(summary["causes"].values()) == 150
    assert summary["todo"] == {action: int((d.recommended_action == action).sum()) for action in RECOMMENDATIONS}
    assert [row["suggested"] for row in summary["hardest"]] == d.hardest(10)["suggested"].tolist()
    assert [row["todo"] for row in summary["hardest"]] == d.hardest(10)["todo"].tolist()
    assert pd.DataFrame(summary["noise_rates"])["wrong"].tolist() == pytest.approx(d.noise_rates["wrong"].tolist())
    for row in summary["ledger"]["classes"]:
        mine = d.factors[d.table["label"] == row["class"]].mean()
        assert [row[name] for name in FACTORS] == pytest.approx(mine.tolist())
    assert [row["cause"] for row in summary["ledger"]["causes"]] == list(CAUSES)


def test_json_holds_no_nan(iris, tmp_path):
    result = run("measure", iris, "--label", "kind", "--drop", "flower", "--learner", "ridge", "--splits", "loo",
                 "--duplicates", "apart", "--out", tmp_path, "--json", "--quiet")  # fmt: skip
    assert json.loads(result.output, parse_constant=lambda name: pytest.fail(name))["variance"] is None


@pytest.mark.slow
def test_the_command_and_python_agree(iris, tmp_path):
    run("measure", iris, "--label", "kind", "--id", "flower", "--out", tmp_path, "--seed", "3", *QUICK)
    frame = pd.read_csv(iris)
    d = hs.measure(frame, "kind", ids="flower", learner="ridge", repeats=2, seed=3)
    np.testing.assert_array_equal(hs.load(tmp_path / "difficulty.parquet").error, d.error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--loss", "brier"),
        ("--loss", "zero-one"),
        ("--splits", "subsets", "--members", "40", "--ratio", "0.6"),
        ("--splits", "loo"),
        ("--learner", "forest"),
        ("--learner", "logistic", "--folds", "3"),
        ("--duplicates", "apart"),
        ("--group", "flower"),
        ("--weights", "petal length (cm)"),
    ],
    ids=" ".join,
)
def test_options_reach_the_measurement(iris, tmp_path, options):
    base = [] if "--learner" in options else ["--learner", "ridge"]
    base += [] if "--splits" in options else ["--repeats", "2"]
    drop = [] if "--group" in options else ["--drop", "flower"]
    result = run("measure", iris, "--label", "kind", *drop, "--quiet", "--out", tmp_path, *base, *options)
    assert result.exit_code == 0, result.output
    settings = hs.load(tmp_path / "difficulty.parquet").settings
    text = json.dumps(settings)
    for value in options[1::2]:
        expected = {"subsets": "random subsets", "0.6": "60%", "loo": "leave one out", "forest": "out of bag",
                  "3": "3 folds", "flower": "",
                  "petal length (cm)": "training samples weighted"}.get(value, value)  # fmt: skip
        assert expected in text


@pytest.mark.slow
def test_a_regression_and_a_text_column(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x @ [1.0, 2.0] + 0.1 * rng.normal(size=80)}).to_csv(
        tmp_path / "r.csv", index=False
    )
    result = run("measure", tmp_path / "r.csv", "--label", "y", "--out", tmp_path / "r", *QUICK)
    assert result.exit_code == 0, result.output
    assert hs.load(tmp_path / "r" / "difficulty.parquet").settings["loss"] == "squared"
    words = {"sea": ["wave", "ship", "sail"], "hill": ["peak", "snow", "goat"]}
    topics = ["sea", "hill"] * 30
    texts = [" ".join([*rng.choice(words[t], 4), f"word{i % 7}"]) for i, t in enumerate(topics)]
    pd.DataFrame({"note": texts, "topic": topics, "n": range(60)}).to_csv(tmp_path / "t.csv", index=False)
    result = run("measure", tmp_path / "t.csv", "--label", "topic", "--text", "note", "--out", tmp_path / "t", *QUICK)
    assert result.exit_code == 0, result.output
    d = hs.load(tmp_path / "t" / "difficulty.parquet")
    assert (d.predicted == d.labels).mean() > 0.9


@pytest.mark.slow
def test_a_folder_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for name, bright in (("dark", 60), ("light", 190)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.normal(bright, 30, (6, 6)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{i}.png")
    for learner in ("ridge", "convnet"):
        out = tmp_path / learner
        result = run("measure", tmp_path / "in", "--out", out, "--learner", learner, "--repeats", "2", "--quiet")
        assert result.exit_code == 0, result.output
        d = hs.load(out / "difficulty.parquet")
        assert d.ids[0] == "dark/0.png"
        assert (d.predicted == d.labels).mean() > 0.9
        assert (out / "report.html").read_text(encoding="utf-8").count("data:image/png") >= 24


@pytest.mark.slow
def test_demo_judges_itself_and_can_be_run_again(tmp_path):
    result = run("demo", "--data", "wine", "--out", tmp_path, "--quiet")
    assert result.exit_code == 0, result.output
    assert "18 flipped labels" in result.output
    assert "hardsight measure YOUR.csv --label COLUMN" in result.output
    before = (tmp_path / "difficulty.parquet").read_bytes()
    again = run("measure", tmp_path / "wine.csv", "--label", "y", "--out", tmp_path, "--quiet")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "difficulty.parquet").read_bytes() == before


@pytest.mark.slow
def test_report_of_a_saved_result(iris, tmp_path):
    run("measure", iris, "--label", "kind", "--drop", "flower", "--out", tmp_path, *QUICK)
    result = run("report", tmp_path / "difficulty.parquet", "-o", tmp_path / "again.html")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again.html").stat().st_size > 100_000


def test_review_of_a_saved_result_with_and_without_its_data(iris, tmp_path):
    out = tmp_path / "results"
    run("measure", iris, "--label", "kind", "--id", "flower", "--out", out, *QUICK)
    assert 'href="review.html"' in (out / "report.html").read_text(encoding="utf-8")
    assert 'href="report.html"' in (out / "review.html").read_text(encoding="utf-8")
    (out / "review.html").unlink()
    options = ("--data", iris, "--label", "kind", "--id", "flower")
    result = run("review", out, *options)
    assert result.exit_code == 0, result.output
    assert '"kind": "table"' in (out / "review.html").read_text(encoding="utf-8")
    bare = run("review", out / "difficulty.parquet", "-o", tmp_path / "bare.html")
    assert bare.exit_code == 0, bare.output
    assert (tmp_path / "bare.html").stat().st_size < (out / "review.html").stat().st_size
    assert "need --data" in error_line("review", out, "--label", "kind", status=2)
    assert "need --data" in error_line("review", out, "--split", "train", status=2)
    assert "no file at" in error_line("review", tmp_path / "none")
    assert "lack" in error_line("review", out, "--data", iris, "--label", "kind", "--drop", "flower")


@pytest.mark.parametrize("command", ["review", "report"])
def test_a_page_that_shows_samples_is_not_replaced_by_one_that_does_not(iris, tmp_path, command):
    out, data = tmp_path / "results", ("--data", iris, "--label", "kind", "--id", "flower")
    assert run("measure", iris, *data[2:], "--out", out, *QUICK).exit_code == 0
    page = out / f"{command}.html"
    before = page.read_bytes()
    for result in (out, out / "difficulty.parquet"):
        line = error_line(command, result)
        assert f"{page} shows the samples, and the new page would not" in line
        assert "--data" in line
        assert "--output" in line
    assert page.read_bytes() == before
    # Both ways out, and a page that is not better than the new one.
    other = tmp_path / "other.html"
    for _ in range(2):
        assert run(command, out, "-o", other).output == f"wrote {other}\n"
    assert run(command, out, *data).output == f"wrote {page}\n"
    assert page.read_bytes() == before
    assert run(command, out, *data, "-o", other).exit_code == 0
    assert "shows the samples" in error_line(command, out, "-o", other)
    other.write_text("<html>a page of someone else</html>")
    assert run(command, out, "-o", other).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["review", "report"])
def test_a_page_with_images_needs_the_images(tmp_path, command):
    rng = np.random.default_rng(0)
    for name, bright in (("dark", 60), ("light", 190)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.normal(bright, 30, (6, 6)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{i}.png")
    out = tmp_path / "out"
    assert run("measure", tmp_path / "in", "--out", out, *QUICK).exit_code == 0
    d = hs.load(out)
    pd.DataFrame({"id": d.ids, "a": range(16), "y": d.label_names(d.labels)}).to_csv(tmp_path / "numbers.csv", index=False)
    numbers = ("--data", tmp_path / "numbers.csv", "--label", "y", "--id", "id")
    for options in ((), numbers):
        assert f"{command}.html shows the images, and the new page would not" in error_line(command, out, *options)
    assert run(command, out, "--data", tmp_path / "in").exit_code == 0


def test_pages_and_weights_are_written_beside_the_result(iris, tmp_path, monkeypatch):
    """Wherever the command is run, and however the result is named; pages that stand together link to each other."""
    out, data = tmp_path / "results", ("--data", iris, "--label", "kind", "--id", "flower")
    run("measure", iris, *data[2:], "--out", out, *QUICK)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for page in ("report.html", "review.html"):
        (out / page).unlink()
    for result in (out, out / "difficulty.parquet"):
        for command, name in (("report", "report.html"), ("review", "review.html"), ("weigh", "weights.csv")):
            ended = run(command, result, *(data if command != "weigh" else ()))
            assert ended.output.endswith(f"wrote {out / name}\n")
            assert (out / name).exists()
    assert 'href="review.html"' in (out / "report.html").read_text(encoding="utf-8")
    assert 'href="report.html"' in (out / "review.html").read_text(encoding="utf-8")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "need --data" in error_line("report", out, "--label", "kind", status=2)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["review", "serve"])
def test_a_table_that_is_not_the_one_measured_is_not_shown(iris, tmp_path, command):
    if command == "serve":
        pytest.importorskip("starlette")
    options = ("--label", "kind", "--drop", "flower")
    run("measure", iris, *options, "--out", tmp_path, *QUICK)
    frame = pd.read_csv(iris)
    changed = frame.assign(kind=frame["kind"].where(frame.index != 60, "ghost"))
    for other, message in (
        (frame[::-1], "row 0 of the samples, id 0, has the label 'virginica', but 'setosa' was measured"),
        (changed, "row 60 of the samples, id 60, has the label 'ghost', but 'versicolor' was measured"),
        (pd.concat([frame, frame]), "other.csv has 300 rows, and 150 samples were measured by row number: pass the table"),
    ):
        other.to_csv(tmp_path / "other.csv", index=False)
        assert message in error_line(command, tmp_path, "--data", tmp_path / "other.csv", *options)


def test_the_ranked_list_can_be_left_out(iris, tmp_path):
    options = ("--label", "kind", "--id", "flower", "--out", tmp_path / "out")
    files = json.loads(run("measure", iris, *options, "--json", *QUICK).output)["files"]
    table = pd.read_csv(files["csv"])
    assert table["p_wrong"].is_monotonic_decreasing
    assert sorted(table["id"]) == [f"f{i:03d}" for i in range(150)]
    # That of an earlier run would show another result.
    assert "csv" not in json.loads(run("measure", iris, *options, "--no-csv", "--json", *QUICK).output)["files"]
    assert not (tmp_path / "out" / "difficulty.csv").exists()


@pytest.mark.parametrize("option", ["--csv", "--no-csv"])
@pytest.mark.parametrize("name", ["difficulty.csv", "leaks.csv", "unlabelled.csv"])
def test_the_data_are_never_replaced_by_results(iris, tmp_path, name, option):
    data = iris.rename(tmp_path / name)
    before = data.read_bytes()
    line = error_line("measure", data, "--label", "kind", "--out", tmp_path, option, *QUICK)
    assert "is a file that this run would replace: choose another folder with --out" in line
    assert data.read_bytes() == before


def test_many_samples_are_reviewed_from_a_server(iris, tmp_path, monkeypatch):
    (tmp_path / "review.html").write_text("of an earlier run")
    monkeypatch.setattr("hardsight.cli.measure_and_report._MAX_REVIEWED", 149)
    result = run("measure", iris, "--label", "kind", "--drop", "flower", "--out", tmp_path, *QUICK)
    assert f"hardsight serve {tmp_path}" in result.output.replace("\n", "")
    assert not (tmp_path / "review.html").exists()
    assert 'href="review.html"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_decisions_of_the_result_before_are_moved_aside(iris, tmp_path):
    out = tmp_path / "results"
    options = ("--label", "kind", "--drop", "flower")
    run("measure", iris, *options, "--out", out, *QUICK)
    decided = "id,action,label\n3,drop,\n"
    (out / "decisions.csv").write_text(decided)
    # The same result once more: they are about it.
    assert "is about the previous result" not in run("measure", iris, *options, "--out", out, *QUICK).output
    assert (out / "decisions.csv").read_text() == decided
    fixed = tmp_path / "fixed.csv"
    assert run("apply", out, iris, "--label", "kind", "-o", fixed).exit_code == 0
    text = run("measure", fixed, *options, "--out", out, *QUICK).output
    assert f"{out / 'decisions.csv'} is about the previous result in this folder" in text
    assert "was renamed to decisions-before.csv" in text
    assert (out / "decisions-before.csv").read_text() == decided
    without = error_line("apply", out, fixed, "--label", "kind", "-o", tmp_path / "again.csv")
    assert "there are no decisions at" in without
    assert "or take all suggestions with --suggestions" in without
    # Beside a result that nobody can read, too, and none is written over.
    (out / "decisions.csv").write_text("second")
    (out / "difficulty.parquet").write_text("torn")
    assert "was renamed to decisions-before-2.csv" in run("measure", fixed, *options, "--out", out, *QUICK).output
    assert (out / "decisions-before.csv").read_text() == decided
    assert (out / "decisions-before-2.csv").read_text() == "second"


@pytest.mark.slow
def test_old_decisions_are_gone_before_the_new_result_stands_there(iris, tmp_path, monkeypatch):
    options = ("--label", "kind", "--drop", "flower", "--out", tmp_path)
    run("measure", iris, *options, *QUICK)
    (tmp_path / "decisions.csv").write_text("id,action\n3,drop\n")
    before = (tmp_path / "difficulty.parquet").read_bytes()
    monkeypatch.setattr(hs.Difficulty, "save", lambda *_: sys.exit(9))
    assert run("measure", iris, *options, *QUICK, "--seed", "1").exit_code == 9
    assert (tmp_path / "difficulty.parquet").read_bytes() == before
    assert (tmp_path / "decisions-before.csv").exists()
    assert not (tmp_path / "decisions.csv").exists()


def test_learners_are_listed():
    text = run("learners").output
    for name in ("network", "forest", "ridge", "lightgbm"):
        assert f"\n{name}" in f"\n{text}"


# --- what goes wrong ---------------------------------------------------------------------------


def table(tmp_path, **columns):
    path = tmp_path / "bad.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


FEATURE = [0.1 * i for i in range(40)]
LABELS = ["p", "q"] * 20


@pytest.mark.parametrize(
    "columns, options, message",
    [
        ({"x": FEATURE, "y": LABELS}, ["--label", "z"], "no column 'z' to use as label: the columns are 'x', 'y'"),
        ({"x": FEATURE, "y": LABELS}, [], "The columns are 'x', 'y'"),
        ({"x": FEATURE, "y": ["p"] * 40}, ["--label", "y"], "at least two classes"),
        ({"x": FEATURE, "y": ["p"] * 39 + ["q"]}, ["--label", "y"], "only 'p' has"),
        ({"x": FEATURE, "y": [None, *LABELS[1:]]}, ["--label", "y", "--unlabelled", "refuse"], "missing in 1 of 40"),
        ({"x": [*FEATURE[1:], np.inf], "y": LABELS}, ["--label", "y"], "column 'x'"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--learner", "oracle"], "choose one of auto, network"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--folds", "1"], "folds must be 2 or more"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--folds", "41"], "folds must be 40 or less"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--repeats", "1"], "repeats must be 2 or more"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--loss", "squared"], "loss must be log or brier or zero-one"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--learner", "convnet"], "convnet reads images"),
        ({"x": FEATURE, "y": LABELS}, ["--label", "y", "--learner", "forest", "--folds", "3"], "leave out folds"),
        ({"x": FEATURE, "y": LABELS, "i": [1] * 40}, ["--label", "y", "--id", "i"], "must be unique"),
        ({"x": FEATURE, "y": LABELS, "g": [1] * 40}, ["--label", "y", "--group", "g"], "group"),
        ({"y": LABELS}, ["--label", "y"], "feature"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, columns, options, message):
    out = tmp_path / "results"
    assert message in error_line("measure", table(tmp_path, **columns), "--out", out, "--quiet", *options)
    assert not out.exists()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("empty.csv", b"", "is empty"),
        ("head.csv", b"a,y\n", "no rows"),
        ("broken.parquet", b"PAR1 no", "not a readable parquet file"),
        ("broken.npz", b"no zip", "not a readable .npz archive"),
        ("what.xyz", b"1", "unknown type"),
        ("broken.csv", b"a,y\n1,\xc3\xa4\xc3\xb6\xff\n", "not UTF-8 throughout"),
    ],
)
def test_bad_files_are_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert message in error_line("measure", tmp_path / name, "--label", "y", "--out", tmp_path / "out")


def test_more_bad_paths(tmp_path):
    assert "no file or folder" in error_line("measure", tmp_path / "none.csv", "--label", "y")
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "b").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "in" / "a" / "whole.png")
    (tmp_path / "in" / "b" / "x.png").write_bytes(b"no image")
    assert "x.png" in error_line("measure", tmp_path / "in", "--out", tmp_path / "out")
    np.savez(tmp_path / "short.npz", X=np.ones((4, 2)), y=np.arange(3))
    assert "4 samples, 3 labels" in error_line("measure", tmp_path / "short.npz", "--out", tmp_path / "out")
    (tmp_path / "file").write_text("x")
    assert "--out" in error_line("measure", table(tmp_path, x=FEATURE, y=LABELS), "--label", "y", "--out", tmp_path / "file")
    assert "no file at" in error_line("report", tmp_path / "none.parquet")
    assert "wine" in error_line("demo", "--data", "moons", "--out", tmp_path)
    assert "[0, 1)" in error_line("demo", "--flip", "1.5", "--out", tmp_path)


def test_usage_errors_have_status_two(iris):
    assert "No such option" in error_line("measure", iris, "--lable", "kind", status=2)
    assert "need --splits subsets" in error_line("measure", iris, "--label", "kind", "--ratio", "0.5", status=2)
    assert "Missing argument" in error_line("measure", status=2)


def test_a_refused_measurement_leaves_no_folder_that_it_made(tmp_path):
    lone = table(tmp_path, x=np.arange(9), y=["rare", *"aaaaaaaa"])
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "new" / "deep", tmp_path / "mine"):
        assert "only 'a' has" in error_line("measure", lone, "--label", "y", "--out", out, *QUICK)
    assert sorted(place.name for place in tmp_path.iterdir() if place.is_dir()) == ["mine"]


def test_a_budget_without_a_unit_is_refused(iris, tmp_path):
    message = error_line("measure", iris, "--label", "kind", "--budget", "5", "--out", tmp_path / "out", *QUICK)
    assert "such as 90s, 10min or 2h, or a number of models such as '20 models'. Got '5'" in message


@pytest.mark.slow
def test_a_terminal_without_the_letters_gets_a_summary_all_the_same(iris, tmp_path):
    command = [sys.executable, "-m", "hardsight.cli", "measure", str(iris), "--label", "kind", "--drop", "flower"]
    ended = subprocess.run(
        [*command, "--out", str(tmp_path), *QUICK], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=True,
    )  # fmt: skip
    assert b"The 10 hardest samples" in ended.stdout


def test_labels_that_look_like_markup_print_as_they_are(tmp_path):
    path = table(tmp_path, x=FEATURE, y=["[red]p[/red]", "<b>q</b>"] * 20)
    result = run("measure", path, "--label", "y", "--out", tmp_path, *QUICK)
    assert "[red]p[/red]" in result.output
    assert "<b>q</b>" in result.output


def test_every_module_of_commands_joins_a_command():
    folder = Path(commands.__file__).parent
    joined = {command.callback.__module__ for command in main.commands.values()}
    files = {file.relative_to(folder).with_suffix("") for file in folder.rglob("*.py") if file.stem != "__init__"}
    assert joined == {".".join((commands.__name__, *file.parts)) for file in files}


def test_help_opens_no_heavy_library():
    code = "import sys, hardsight.cli; print([m for m in ('torch', 'pandas', 'numpy', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["training", "writing"])
def test_an_interrupt_leaves_files_as_they_were(iris, tmp_path, moment):
    out = tmp_path / "results"
    out.mkdir()
    (out / "difficulty.parquet").write_text("old")
    # The signal is sent by the process to itself, at a point that only one of the two moments reaches.
    place = {
        "training": "import hardsight.learners.network.network as room; name = 'predict_rows'",
        "writing": "import hardsight.difficulty.file as module; room = module.pq; name = 'write_table'",
    }[moment]
    code = f"""
import os, signal, sys
{place}
real = getattr(room, name)
def then(*arguments, **options):
    found = real(*arguments, **options)
    # Members are judged in several threads; one interrupt is what is sent.
    setattr(room, name, real)
    os.kill(os.getpid(), signal.SIGINT)
    return found
setattr(room, name, then)
from hardsight.cli import main
main()
"""
    command = ["measure", str(iris), "--label", "kind", "--drop", "flower", "--out", str(out), "--quiet"]
    ended = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.strip() == "Interrupted: results are unchanged. --resume continues with the models trained so far."
    names = ["progress.npz"] if moment == "writing" else []
    assert sorted(p.name for p in out.iterdir()) == ["difficulty.parquet", *names]
    assert (out / "difficulty.parquet").read_text() == "old"


@pytest.mark.slow
def test_a_real_interrupt_from_outside(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "big.npz", X=rng.normal(size=(20_000, 50)), y=rng.integers(0, 3, 20_000))
    out = tmp_path / "results"
    process = subprocess.Popen(
        [sys.executable, "-m", "hardsight.cli", "measure", str(tmp_path / "big.npz"), "--out", str(out)],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"FORCE_COLOR": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    # The folder is made just before training starts, which then takes minutes.
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=600)[1]
    # Where the signal comes while a text is executed (named tuples, numba), `python -m` ends by the signal: to a shell, 130.
    assert process.returncode in (130, -signal.SIGINT), stderr
    assert "Interrupted: results are unchanged" in stderr
    assert "Traceback" not in stderr
    assert not [p for p in out.glob("*") if p.name != "progress.npz"]


def test_measures_are_listed_and_told():
    listed = run("measures").output.splitlines()
    assert [line.split()[0] for line in listed] == list(hs.MEASURES)
    output = run("measures", "vog").output
    row = hs.MEASURES["vog"]
    assert all(text in output for text in (row.what, row.formula, row.source, row.cost, row.note, "input_gradients"))
    assert json.loads(run("measures", "vog", "--json").output) == row.to_dict()
    assert json.loads(run("measures", "--json").output)["aum"]["formula"] == hs.MEASURES["aum"].formula
    assert error_line("measures", "vg") == "Error: no measure is called 'vg': did you mean 'vog'?"


@pytest.fixture
def measured(iris, tmp_path):
    out = tmp_path / "results"
    assert run("measure", iris, "--label", "kind", "--id", "flower", "--out", out, *QUICK).exit_code == 0
    return out / "difficulty.parquet"


@pytest.mark.slow
def test_weigh_writes_the_weights_of_hs_weigh_by_id(measured, tmp_path):
    d = hs.load(measured)
    csv, parquet = tmp_path / "w.csv", tmp_path / "w.parquet"
    result = run("weigh", measured, "--scheme", "spl-linear", "--set", "lam=0.9", "--clip", 1.5, "-o", csv)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(csv)
    expected = hs.weigh(d, "spl-linear", lam=0.9, clip=1.5)
    assert found["id"].tolist() == d.ids.tolist()
    np.testing.assert_allclose(found["weight"], expected, rtol=1e-12)
    worth = expected.sum() ** 2 / (expected**2).sum()
    assert f"150 weights, worth {worth:.1f} samples" in result.output
    assert f"Largest: {expected.max():.4g} (id {d.ids[expected.argmax()]})" in result.output
    assert result.output.endswith(f"wrote {csv}\n")
    assert run("weigh", measured, "-o", parquet).exit_code == 0
    np.testing.assert_array_equal(pd.read_parquet(parquet)["weight"], hs.weigh(d))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iris.csv", "results", "w.csv", "w.parquet"]


@pytest.mark.slow
def test_weigh_says_what_auto_did_and_why(measured, tmp_path):
    result = run("weigh", measured, "-o", tmp_path / "w.csv")
    assert hs.weights.automatic.decide(hs.load(measured)).text in result.output


@pytest.mark.slow
def test_weigh_says_it_of_the_weights_that_it_writes(measured, tmp_path):
    d = hs.load(measured)
    decided = tmp_path / "decisions.csv"
    pd.DataFrame({"id": d.ids[:80:2], "action": "drop", "label": ""}).to_csv(decided, index=False)
    result = run("weigh", measured, "--clip", 2.5, "--decisions", decided, "-o", tmp_path / "w.csv")
    weights = pd.read_csv(tmp_path / "w.csv")["weight"].to_numpy()
    worth = weights.sum() ** 2 / np.square(weights).sum()
    assert f"The weights are worth {worth:,.0f} samples" in result.output


@pytest.mark.slow
def test_parameters_are_numbers_lists_or_words(measured, tmp_path):
    out = ("-o", tmp_path / "w.csv")
    assert run("weigh", measured, "--scheme", "class-balanced", "--set", "sizes=[50, 50, 50]", *out).exit_code == 0
    assert run("weigh", measured, "--scheme", "spl-linear", "--set", "lam=.9", *out).exit_code == 0
    assert "clip is not a parameter of a scheme: pass --clip" in error_line(
        "weigh", measured, "--set", "clip=3", *out, status=2
    )


@pytest.mark.slow
def test_weigh_refuses_in_one_line(measured, tmp_path):
    out = ("-o", tmp_path / "w.csv")
    assert "do you mean 'spl-linear'" in error_line("weigh", measured, "--scheme", "spl-linaer", *out)
    assert "pass lam=" in error_line("weigh", measured, "--scheme", "spl-linear", *out)
    assert "has no parameter 'lan'" in error_line("weigh", measured, "--scheme", "spl-linear", "--set", "lan=1", *out)
    assert "NAME=VALUE" in error_line("weigh", measured, "--set", "lam", *out, status=2)
    wrong = error_line("weigh", measured, "--set", "certain=much", *out, status=2)
    assert "a value of --set has the wrong type for scheme 'auto'" in wrong
    assert ".csv or .parquet" in error_line("weigh", measured, "-o", tmp_path / "w.txt")
    assert "no file at" in error_line("weigh", tmp_path / "absent.parquet")
    assert not (tmp_path / "w.csv").exists()


def test_schemes_are_listed_and_told():
    listed = run("schemes").output.splitlines()
    assert [line.split()[0] for line in listed] == list(hs.SCHEMES)
    assert [line.split()[1] for line in listed] == [row.priority for row in hs.SCHEMES.values()]
    output = run("schemes", "spl-hard").output
    row = hs.SCHEMES["spl-hard"]
    assert all(text in output for text in (row.description, row.formula, row.source, row.note, "lam (no published default"))
    assert json.loads(run("schemes", "spl-hard", "--json").output) == row.to_dict()
    assert json.loads(run("schemes", "--json").output)["spl-linear"]["formula"] == hs.SCHEMES["spl-linear"].formula
    assert "do you mean 'spl-hard'" in error_line("schemes", "spl-hrd")


def test_all_faults_of_arguments_and_columns_are_reported_before_the_rows_are_read(tmp_path):
    place = tmp_path / "a.csv"
    # The last row cannot be read.
    place.write_text("age,Grade,y\n" + "1,2,3\n" * 30 + "1,2,3,4,5\n")
    options = ["--budget", "20 potatoes", "--learner", "ridg", "--embedding", "pix", "--reliability", "3"]
    result = run("measure", place, "--label", "grade", "--id", "Age", "--drop", "z", *options)
    lines = result.output.splitlines()
    assert lines[0] == "Error: 7 faults:"
    for words in (
        "no learner is called 'ridg' (did you mean 'ridge'?)", "budget must be", "reliability must be", "embedding must be",
        "(did you mean 'Grade'?)", "(did you mean 'age'?)", "no column 'z' to drop",
    ):  # fmt: skip
        assert sum(words in line for line in lines) == 1, words


@pytest.mark.slow
def test_witnesses_are_read_from_files(iris, tmp_path):
    table = pd.read_csv(iris)
    table[["flower", "kind"]].sample(frac=1, random_state=0).to_csv(tmp_path / "rules.csv", index=False)
    options = ("--label", "kind", "--id", "flower", "--out", tmp_path / "out", *QUICK)
    run("measure", iris, *options, "--witness", tmp_path / "rules.csv")
    (record,) = hs.Difficulty.load(tmp_path / "out" / "difficulty.parquet").run.witnesses
    assert (record["name"], record["n_answers"]) == ("rules", len(table))
    (tmp_path / "bad.csv").write_text("label\ndog\n")
    assert "witness 'bad'" in error_line("measure", iris, *options, "--witness", tmp_path / "bad.csv")
