"""The table with decisions carried out: against pandas, and cell by cell as it was."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import hardsight as hs
from hardsight import data as samples
from hardsight.cli import main
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError
from hardsight.reporting.review.apply import apply_to_table

N = 40


def table(labels=("cat", "dog")) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = np.array(labels, dtype=object)[np.arange(N) % 2]
    words = [f'said "{i}", then; {i}' if i % 3 else "=1+1" for i in range(N)]
    return pd.DataFrame({"key": [f"{i:03}" for i in range(N)], "a": rng.normal(size=N).round(3), "note": words, "y": y})


def measured(path: Path, **how):
    return hs.measure(
        samples.read(path, drop=["note"], **how), learner="ridge", folds=2, repeats=2, estimate=hs.Estimate(adjusted=False)
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed")
    path = folder / "pets.csv"
    table().to_csv(path, index=False)
    d = measured(path, label="y", id="key")
    d.save(folder / "difficulty.parquet")
    (folder / "decisions.csv").write_text("id,action,label\n003,relabel,cat\n005,drop,\n006,keep,\n039,unsure,\n")
    return folder, d


def expected() -> pd.DataFrame:
    frame = table()
    frame.loc[3, "y"] = "cat"
    return frame.drop(index=5)


def read(path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.mark.parametrize("name", ["fixed.csv", "fixed.tsv", "fixed.csv.gz"])
def test_the_command_writes_what_pandas_would(kept, tmp_path, name):
    folder, _ = kept
    target = tmp_path / name
    command = ["apply", str(folder), str(folder / "pets.csv"), "--label", "y", "--id", "key", "-o", str(target)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Forecast without a review: Of 1 label changed, expect ")
    assert done.output.endswith(f"wrote {target}: 39 rows, 1 relabelled; 1 dropped\n")
    pd.testing.assert_frame_equal(read(target), expected().astype(str).reset_index(drop=True))
    # It can be measured.
    assert len(measured(target, label="y", id="key")) == N - 1


def test_compressed_is_compressed_and_the_same_each_time(kept, tmp_path):
    folder, d = kept
    for name in ("one.csv.gz", "two.csv.gz"):
        apply_to_table(folder / "pets.csv", tmp_path / name, d, folder / "decisions.csv", label="y", id="key")
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.csv.gz").read_bytes()).startswith(b"key,a,note,y\n")


def test_every_other_cell_stays_as_it_was_written(tmp_path):
    path = tmp_path / "odd.csv"
    rows = [["a", "note", "y"]] + [
        [f"{i}.50", ["NA", "", " x ", "007", "1e3"][i % 5], ["1", "2.0"][i % 2]] for i in range(N)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    d = measured(path, label="y")
    decisions = pd.DataFrame({"id": [4, 7], "action": ["relabel", "drop"], "label": [str(d.classes[1]), ""]})
    apply_to_table(path, tmp_path / "out.csv", d, decisions, label="y")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file, delimiter=";"))
    # The new label is spelled as the table spells it.
    rows[5][2] = "2.0"
    assert found == rows[:8] + rows[9:]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_byte_order_mark_and_the_ends_of_lines_stay(tmp_path, packed, mark, end):
    path, target = (tmp_path / f"{name}.csv{'.gz' if packed else ''}" for name in ("pets", "out"))
    lines = ["a,b,y"] + [f'{i},"{i}\n;",{["cat", "dog"][i % 2]}' for i in range(N)]
    text = mark + end.join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    decisions = pd.DataFrame({"id": [3, 5], "action": ["relabel", "drop"], "label": ["cat", ""]})
    apply_to_table(
        path, target, hs.measure(samples.read(path, label="y"), learner="ridge", folds=2, repeats=2), decisions, label="y"
    )
    lines[4] = lines[4].replace("dog", "cat")
    found = gzip.decompress(target.read_bytes()) if packed else target.read_bytes()
    assert found == mark + end.join([*lines[:6], *lines[7:], ""]).encode()


@pytest.mark.parametrize("kind", ["text", "numbers", "targets"])
def test_parquet_keeps_its_types(tmp_path, kind):
    frame = table(("cat", "dog") if kind == "text" else (3, 7))
    frame["y"] = frame["y"].astype(str if kind == "text" else np.int16)
    if kind == "targets":
        frame["y"] = frame["a"].astype(np.float32) * 2
    path = tmp_path / "pets.parquet"
    frame.to_parquet(path, index=False)
    d = measured(path, label="y")
    new = {"text": "cat", "numbers": "3", "targets": "1.25"}[kind]
    decisions = pd.DataFrame({"id": [3, 5], "action": ["relabel", "drop"], "label": [new, ""]})
    done = apply_to_table(path, tmp_path / "out.parquet", d, decisions, label="y")
    assert done == (N - 1, 0, 1, 1, 0)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.equals(pq.read_table(path).schema, check_metadata=True)
    frame.loc[3, "y"] = {"text": "cat", "numbers": 3, "targets": 1.25}[kind]
    pd.testing.assert_frame_equal(found.to_pandas(), frame.drop(index=5).reset_index(drop=True))


@pytest.mark.parametrize("mark", [",", ";"])
def test_targets_in_a_text_are_written_as_numbers_are_there(tmp_path, mark):
    """With semicolons, numbers have a decimal comma. No cell is quoted."""
    path = tmp_path / "targets.csv"
    point = "," if mark == ";" else "."
    rng = np.random.default_rng(0)
    numbers = [f"{value:.2f}".replace(".", point) for value in rng.uniform(10, 99, (2 * N))]
    lines = [mark.join(("a", "note", "y")), *(f"{a}{mark}x{mark}{y}" for a, y in zip(numbers[:N], numbers[N:], strict=True))]
    path.write_text("\n".join([*lines, ""]))
    d = measured(path, label="y")
    assert d.regression
    decisions = pd.DataFrame({"id": [3, 4, 5], "action": ["relabel", "relabel", "drop"], "label": ["1.25", "70", ""]})
    apply_to_table(path, tmp_path / "out.csv", d, decisions, label="y")
    lines[4], lines[5] = f"{numbers[3]}{mark}x{mark}1{point}25", f"{numbers[4]}{mark}x{mark}70"
    assert (tmp_path / "out.csv").read_text() == "\n".join([*lines[:6], *lines[7:], ""])


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda f: f.drop(index=0), {}, "39 rows with a label, but 40 samples"),
        (lambda f: f.iloc[::-1], {}, r"row 0 .* id '039', but '000'"),
        (lambda f: f.assign(y=f["y"].replace("dog", "cow")), {}, r"row 1 .* label 'cow', but 'dog'"),
        (lambda f: f, {"label": "z"}, "one column 'z'"),
        (lambda f: f, {"id": None}, "name their column"),
    ],
)
def test_another_table_is_refused_and_nothing_written(kept, tmp_path, change, how, message):
    folder, d = kept
    path = tmp_path / "other.csv"
    change(table()).to_csv(path, index=False)
    with pytest.raises(InputError, match=message):
        apply_to_table(path, tmp_path / "out.csv", d, folder / "decisions.csv", **{"label": "y", "id": "key"} | how)
    assert [each.name for each in tmp_path.iterdir()] == ["other.csv"]


def test_places_that_do_not_fit_are_refused(kept, tmp_path):
    folder, d = kept
    before = (folder / "pets.csv").read_bytes()
    for target, message in (
        (folder / "pets.csv", "another name"),
        (tmp_path / "x.parquet", "ends in .csv"),
        (tmp_path / "x.npz", "must be a table"),
    ):
        with pytest.raises(InputError, match=message):
            apply_to_table(folder / "pets.csv", target, d, folder / "decisions.csv", label="y", id="key")
    with pytest.raises(InputError, match=r"d\.apply"):
        apply_to_table(tmp_path / "x.npz", tmp_path / "y.npz", d, folder / "decisions.csv", label="y")
    with pytest.raises(InputError, match="no file"):
        apply_to_table(tmp_path / "gone.csv", tmp_path / "y.csv", d, folder / "decisions.csv", label="y")
    assert (folder / "pets.csv").read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("how", [{}, {"id": "key"}])
@pytest.mark.parametrize("labels", [("cat", "dog"), (3, 7)])
def test_rows_without_a_label_stay_where_they_are(tmp_path, kind, how, labels):
    frame = table(labels)
    frame["y"] = frame["y"].astype("Int64" if labels[0] == 3 else object)
    frame.loc[[0, 7, 39], "y"] = None
    path, target = tmp_path / f"pets.{kind}", tmp_path / f"out.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path, index=False)
    d = measured(path, label="y", **how)
    ids = ["008", "010"] if how else [8, 10]
    decisions = pd.DataFrame({"id": ids, "action": ["relabel", "drop"], "label": [str(labels[1]), ""]})
    done = apply_to_table(path, target, d, decisions, label="y", **how)
    assert done == (N - 1, 3, 1, 1, 0)
    frame.loc[8, "y"] = labels[1]
    frame = frame.drop(index=10).reset_index(drop=True)
    if kind == "csv":
        pd.testing.assert_frame_equal(read(target), frame.astype(object).where(frame.notna(), "").astype(str))
    else:
        assert pq.read_table(target).to_pylist() == frame.astype(object).where(frame.notna(), None).to_dict("records")


def test_merged_spellings_stay_and_new_labels_have_the_common_one(tmp_path):
    frame = table()
    frame.loc[[0, 3, 5], "y"] = ["CAT ", "Dog", "dog "]
    path, target = tmp_path / "pets.csv", tmp_path / "out.csv"
    frame.to_csv(path, index=False)
    d = measured(path, label="y", merge_spellings=True)
    decisions = pd.DataFrame({"id": [1, 2], "action": ["relabel", "relabel"], "label": ["cat", "dog"]})
    apply_to_table(path, target, d, decisions, label="y")
    frame.loc[[1, 2], "y"] = ["cat", "dog"]
    assert read(target)["y"].tolist() == frame["y"].tolist()


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig", "koi8-r"])
def test_the_encoding_stays(tmp_path, encoding):
    names = ("кот", "пёс") if encoding == "koi8-r" else ("Bär", "Käfer")
    text = "\r\n".join(
        [f"{i},é{i},{names[i % 2]}" if encoding != "koi8-r" else f"{i},я{i},{names[i % 2]}" for i in range(N)]
    )
    path, target = tmp_path / "pets.csv", tmp_path / "out.csv"
    path.write_bytes((text + "\r\n").encode(encoding))
    options = ReadOptions(header=False, encoding="koi8-r" if encoding == "koi8-r" else None)
    d = hs.measure(
        samples.read(path, label="3", header=False, encoding=options.encoding), learner="ridge", folds=2, repeats=2
    )
    apply_to_table(path, target, d, pd.DataFrame({"id": [3], "action": ["drop"]}), label="3", options=options)
    lines = text.split("\r\n")
    assert target.read_bytes() == "\r\n".join([*lines[:3], *lines[4:], ""]).encode(encoding)


def test_blanks_between_cells_are_refused(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("\n".join(["a  y", *(f"{i}   {'cat' if i % 2 else 'dog'}" for i in range(N))]))
    d = hs.measure(samples.read(path, label="y", separator="whitespace"), learner="ridge", folds=2, repeats=2)
    decisions = pd.DataFrame({"id": [3], "action": ["drop"]})
    with pytest.raises(InputError, match="no single mark"):
        apply_to_table(path, tmp_path / "out.csv", d, decisions, label="y", options=ReadOptions(separator="whitespace"))


def test_titles_above_the_header_are_left_out(tmp_path):
    path, target = tmp_path / "pets.csv", tmp_path / "out.csv"
    table().to_csv(path, index=False)
    text = path.read_bytes()
    path.write_bytes(b"Pets of 2024\n\n" + text)
    d = measured(path, label="y")
    apply_to_table(path, target, d, pd.DataFrame({"id": [5], "action": ["drop"]}), label="y")
    pd.testing.assert_frame_equal(read(target), table().drop(index=5).astype(str).reset_index(drop=True))


def test_a_preview_says_what_would_change_and_writes_nothing(kept):
    folder, d = kept
    before = sorted(folder.iterdir())
    answer = CliRunner().invoke(
        main, ["apply", str(folder), str(folder / "pets.csv"), "--label", "y", "--id", "key", "--preview"]
    )
    assert answer.exit_code == 0
    assert sorted(folder.iterdir()) == before
    assert d.forecast(folder / "decisions.csv").describe() in answer.output
    assert "003: dog" in answer.output
    assert "→ cat" in answer.output
    assert "005: dog" in answer.output


def test_suggestions_are_taken_where_nothing_was_decided(kept, tmp_path):
    folder, d = kept
    doubted = np.array([3, 7, 9])
    suggested, p_wrong = d.labels.copy(), np.zeros(N)
    suggested[doubted], p_wrong[doubted] = 1 - d.labels[doubted], 0.9
    cause = np.where(p_wrong > 0, "noise", "none")
    d = replace(
        d,
        run=replace(d.run, ledger_trust=None),
        suggested=suggested,
        p_wrong=p_wrong,
        p_suggested=np.maximum(p_wrong, 1 - p_wrong),
        cause=cause,
    )
    d.save(tmp_path / "difficulty.parquet")
    (tmp_path / "decisions.csv").write_text("id,action,label\n003,keep,\n")
    target = tmp_path / "o.csv"
    command = ["apply", str(tmp_path), str(folder / "pets.csv"), "--label", "y", "--id", "key", "-o", str(target)]
    answer = CliRunner().invoke(main, [*command, "--suggestions"])
    assert "Of 2 labels changed, expect 2 put right, 0 spoilt" in answer.output
    expected_table = table()
    expected_table.loc[[7, 9], "y"] = "cat"
    assert read(target)["y"].tolist() == expected_table["y"].tolist()
    # Without a review, the suggestions are all there is to do.
    (tmp_path / "decisions.csv").unlink()
    assert CliRunner().invoke(main, [*command, "--suggestions"]).exit_code == 0
    expected_table.loc[3, "y"] = "cat"
    assert read(target)["y"].tolist() == expected_table["y"].tolist()
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code != 0
    assert "decisions.csv" in answer.output


def test_copies_are_left_out_and_counted(kept, tmp_path):
    folder, d = kept
    copy_set = np.full(N, -1)
    copy_set[[2, 4, 6]] = 0
    replace(d, copy_set=copy_set).save(tmp_path / "difficulty.parquet")
    target = tmp_path / "o.csv"
    command = ["apply", str(tmp_path), str(folder / "pets.csv"), "--label", "y", "--id", "key", "--drop-copies"]
    answer = CliRunner().invoke(main, [*command, "-o", str(target)])
    assert "38 rows" in answer.output
    assert "2 left out as copies" in answer.output
    stays = [2, 4, 6][int(d.p_wrong[[2, 4, 6]].argmin())]
    assert set(read(target)["key"]) == set(table()["key"]) - {f"{i:03}" for i in {2, 4, 6} - {stays}}
    assert "2 samples left out because a copy stays (id 00" in CliRunner().invoke(main, [*command, "--preview"]).output
