"""Round trips with labelling tools: what is exported, and the decisions that come back."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from support.command_line import error_line, run
from support.errors import rejects
from support.labelling_files import (
    argilla_records,
    choice,
    doccano_tasks,
    fiftyone_metadata,
    fiftyone_sample,
    label_studio_task,
    label_studio_tasks,
    texts_and_labels,
    write_json,
)

import hardsight as hs

WRONG = (3, 10)


def measure(path, label=None):
    """Measure labels by predictions that are right about all of them, and nearly sure, and by features."""
    project = hs.labelling.read(path, label)
    labels = project.agreed_labels()[0]
    rows = sorted(labels)
    y = np.array([labels[row] for row in rows])
    classes = np.unique(y)
    true = np.searchsorted(classes, y)
    for row in WRONG:
        true[row] = 1 - true[row]
    rng = np.random.default_rng(0)
    p = np.full((4, len(y), 2), 0.02)
    p[:, np.arange(len(y)), true] = 0.98
    p[..., 1] += rng.uniform(-0.01, 0.01, p.shape[:2])
    p /= p.sum(2, keepdims=True)
    features = np.stack([true, rng.normal(0, 0.1, len(y))], 1)
    return hs.measure_predictions(p, y, ids=[project.ids[row] for row in rows], features=features)


@pytest.fixture
def label_studio(tmp_path):
    return write_json(tmp_path / "tasks.json", label_studio_tasks())


def test_label_studio_tasks_get_predictions(label_studio, tmp_path):
    tasks = json.loads(label_studio.read_text())
    tasks[3]["predictions"] = [{"model_version": "mine", "result": []}, {"model_version": "hardsight 0.0.9", "result": []}]
    write_json(label_studio, tasks)
    d = measure(label_studio)
    assert hs.labelling.export(d, label_studio, tmp_path / "out.json") == 2
    written = json.loads((tmp_path / "out.json").read_text())
    assert {task["id"] for task in written} == {103, 110}
    task = next(each for each in written if each["id"] == 103)
    before, after = task["predictions"]
    assert before["model_version"] == "mine"
    assert after["model_version"] == f"hardsight {hs.__version__}"
    assert after["result"] == [
        {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["good"]}}
    ]
    row = d.ids.tolist().index(103)
    assert after["score"] == round(float(d.p_suggested[row]), 4)
    assert task["data"]["hardsight_p_wrong"] == round(float(d.p_wrong[row]), 4)
    assert task["data"]["hardsight_given"] == "bad"
    assert task["annotations"] == tasks[3]["annotations"]
    assert [each["data"]["hardsight_rank"] for each in written] == [1, 2]
    assert "good" in task["data"]["hardsight_reason"]


def test_exported_fields_do_not_become_features(label_studio, tmp_path):
    d = measure(label_studio)
    hs.labelling.export(d, label_studio, tmp_path / "out.json", top=20)
    assert list(hs.labelling.read(tmp_path / "out.json").table().frame) == ["id", "text", "source", "sentiment"]


def test_doccano_lines_get_fields(tmp_path):
    path = write_json(tmp_path / "all.jsonl", doccano_tasks())
    d = measure(path)
    hs.labelling.export(d, path, tmp_path / "out.jsonl", top=3)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert {line["hardsight_id"] for line in lines[:2]} == {103, 110}
    assert {line["hardsight_suggested"] for line in lines[:2]} == {"good", "bad"}
    assert all("id" not in line and line["label"] == [line["hardsight_given"]] for line in lines)
    assert hs.labelling.decisions(d, tmp_path / "out.jsonl").unchanged == 3


def test_argilla_records_get_suggestions_and_no_old_responses(tmp_path):
    path = write_json(tmp_path / "records.json", argilla_records())
    d = measure(path)
    hs.labelling.export(d, path, tmp_path / "out.json")
    records = json.loads((tmp_path / "out.json").read_text())
    assert {record["id"] for record in records} == {"r3", "r10"}
    suggestion = records[0]["suggestions"]["sentiment"]
    assert suggestion["agent"] == f"hardsight {hs.__version__}"
    assert suggestion["value"] in ("good", "bad")
    assert 0.5 < suggestion["score"] < 1
    assert all(record["responses"] == {} for record in records)


@pytest.fixture
def fiftyone(tmp_path):
    folder = tmp_path / "pets"
    folder.mkdir()
    samples = [fiftyone_sample(n, f"data/{n}.png", "cat" if n % 2 else "dog") for n in range(80)]
    for row in WRONG:
        samples[row]["ground_truth"]["label"] = "dog" if row % 2 else "cat"
    write_json(folder / "samples.json", {"samples": samples})
    write_json(folder / "metadata.json", fiftyone_metadata())
    return folder


def test_fiftyone_datasets_get_fields_and_tags(fiftyone, tmp_path):
    d, out = measure(fiftyone), tmp_path / "out"
    assert hs.labelling.export(d, fiftyone, out) == 2
    samples = json.loads((out / "samples.json").read_text())["samples"]
    assert len(samples) == 80
    assert [n for n, sample in enumerate(samples) if "hardsight" in sample["tags"]] == list(WRONG)
    assert samples[3]["hardsight_suggested"]["label"] == "cat"
    assert samples[3]["hardsight_p_wrong"] == round(float(d.p_wrong[3]), 4)
    assert samples[0]["filepath"] == str(fiftyone / "data" / "0.png")
    assert samples[0]["tags"] == ["train"]
    fields = {entry["name"]: entry for entry in json.loads((out / "metadata.json").read_text())["sample_fields"]}
    added = {name for name in samples[0] if name.startswith("hardsight_")}
    assert added == {name for name in fields if name.startswith("hardsight_")}
    assert fields["hardsight_suggested"]["embedded_doc_type"] == fields["ground_truth"]["embedded_doc_type"]
    # Once more on what was written: nothing is there twice.
    hs.labelling.export(d, out, tmp_path / "again")
    again = json.loads((tmp_path / "again" / "samples.json").read_text())["samples"]
    assert again == samples
    rejects("is the dataset that was measured", hs.labelling.export, d, fiftyone, fiftyone)
    (fiftyone / "metadata.json").unlink()
    rejects("has no metadata.json", hs.labelling.export, d, fiftyone, tmp_path / "other")


def test_a_dataset_that_fiftyone_wrote_gets_entries_like_its_own(tmp_path):
    folder = Path(__file__).parents[1] / "data" / "labelling" / "fixtures" / "fiftyone"
    project = hs.labelling.read(folder)
    d = hs.measure_predictions(np.full((2, 4, 2), 0.5), ["dog", "cat", "dog", "dog"], ids=list(project.ids))
    hs.labelling.export(d, folder, tmp_path / "out", top=2)
    entries = json.loads((tmp_path / "out" / "metadata.json").read_text())["sample_fields"]
    own = {entry["name"]: entry.keys() for entry in entries if not entry["name"].startswith("hardsight_")}
    for entry in entries[-5:]:
        assert entry["name"].startswith("hardsight_")
        assert entry.keys() == own["filepath"]


def test_changed_labels_come_back_as_decisions(label_studio, tmp_path):
    d = measure(label_studio)
    tasks = json.loads(label_studio.read_text())
    tasks[3]["annotations"].append(choice("good", 2, updated_at="2025-01-01"))
    tasks[4]["annotations"] = [choice("bad", 1, was_cancelled=True)]
    tasks[5]["annotations"] = []
    tasks.append(label_studio_task(80, "new", [choice("good")]))
    changes = hs.labelling.decisions(d, write_json(tmp_path / "after.json", tasks))
    assert changes.table.reset_index().values.tolist() == [[103, "relabel", "good", "bad"], [104, "unsure", "", "bad"]]
    assert (changes.unchanged, changes.unlabelled, changes.not_measured) == (77, 1, 1)
    assert changes.describe() == (
        "1 label changed, 77 did not, 1 skipped, 1 without a label now. 1 task of the file was not measured."
    )
    curated = d.apply(changes.table)
    assert curated.labels[d.ids.tolist().index(103)] == "good"


def test_nothing_changed_between_disputed_labels(tmp_path):
    tasks = label_studio_tasks()
    for task in tasks[:9]:
        task["annotations"] += [choice("good", 2), choice("bad", 3)]
    path = write_json(tmp_path / "tasks.json", tasks)
    assert not len(hs.labelling.decisions(measure(path), path).table)


def test_faults_take_one_line(label_studio, tmp_path):
    d = measure(label_studio)
    others = [{**task, "id": task["id"] + 1000} for task in label_studio_tasks()]
    path = write_json(tmp_path / "others.json", others)
    rejects(r"none of the 80 tasks was measured \(their ids look like 1100", hs.labelling.decisions, d, path)
    rejects("2 of 2 tasks to write are not in this Label Studio file", hs.labelling.export, d, path, tmp_path / "o.json")
    tasks = label_studio_tasks()
    tasks[0]["annotations"] = [choice("so-so")]
    path = write_json(tmp_path / "new_class.json", tasks)
    rejects("the new label of id '100' must be a class. Got 'so-so'", hs.labelling.decisions, d, path)
    rejects(
        "no label is more likely wrong", hs.labelling.export, d.select(d.p_wrong < 0.5), label_studio, tmp_path / "o.json"
    )
    rejects("was not written by", hs.labelling.read, write_json(tmp_path / "x.json", [{"a": 1}]))
    rejects("no file or folder at", hs.labelling.read, tmp_path / "absent.json")
    d.save(tmp_path / "difficulty.parquet")
    assert "no file or folder at" in error_line("export", tmp_path, tmp_path / "absent.csv", "-o", tmp_path / "o.json")


def test_the_command_line_goes_round(label_studio, tmp_path):
    out = tmp_path / "out"
    result = run("measure", label_studio, "--learner", "logistic", "--repeats", "2", "--out", out, "--quiet", "--no-refine")
    assert result.exit_code == 0, result.output
    result = run("export", out, label_studio, "-o", tmp_path / "look.json")
    assert result.exit_code == 0, result.output
    assert "2 tasks to look at" in result.output
    looked_at = json.loads((tmp_path / "look.json").read_text())
    for task in looked_at:
        task["annotations"].append(choice(task["predictions"][0]["result"][0]["value"]["choices"][0], 2))
    write_json(tmp_path / "after.json", looked_at)
    result = run("decisions", out, tmp_path / "after.json")
    assert "2 labels changed, 0 did not" in result.output
    assert (out / "decisions.csv").read_text().splitlines()[0] == "id,action,label"
    written = (out / "decisions.csv").read_bytes()
    assert "2 of them stood there already" in run("decisions", out, tmp_path / "after.json").output
    assert (out / "decisions.csv").read_bytes() == written
    assert "is what was measured" in error_line("export", out, label_studio, "-o", label_studio)


def test_annotators_of_a_label_studio_file(tmp_path):
    tasks = label_studio_tasks(30)
    for number, task in enumerate(tasks):
        task["annotations"].append(choice("good" if number % 2 else "bad", 2))
    path = write_json(tmp_path / "tasks.json", tasks)
    result = run(
        "annotators",
        path,
        "--features",
        path,
        "--learner",
        "logistic",
        "--repeats",
        "2",
        "--out",
        tmp_path / "out",
        "--quiet",
    )
    assert result.exit_code == 0, result.output
    assert "60 labels of 30 items by 2 annotators" in result.output
    assert (tmp_path / "out" / "difficulty.parquet").exists()
    assert "leave out item and annotator" in error_line(
        "annotators", path, "--item", "id", "--annotator", "x", "--label", "sentiment"
    )


@pytest.fixture
def reviews(tmp_path):
    """A csv of texts of which two are labelled wrong, by id."""
    texts, _, given = texts_and_labels()
    table = pd.DataFrame({"name": [f"n{i}" for i in range(80)], "text": texts, "stars": given})
    table.to_csv(tmp_path / "reviews.csv", index=False)
    arguments = ("--label", "stars", "--id", "name", "--text", "text")
    options = ("--learner", "logistic", "--repeats", "2", "--out", tmp_path / "out", "--quiet")
    measured = run("measure", tmp_path / "reviews.csv", *arguments, *options)
    assert measured.exit_code == 0, measured.output
    return tmp_path, arguments


def test_a_table_goes_to_label_studio_and_comes_back(reviews):
    folder, arguments = reviews
    source, target = folder / "reviews.csv", folder / "look.json"
    result = run("export", folder / "out", source, *arguments, "--to", "label-studio", "-o", target)
    assert result.exit_code == 0, result.output
    assert "look.xml: the labelling interface" in result.output.replace("\n", "")
    tasks = json.loads(target.read_text())
    assert [task["data"]["hardsight_id"] for task in tasks] in (["n3", "n10"], ["n10", "n3"])
    view = ElementTree.fromstring((folder / "look.xml").read_text())
    assert view.find("Text").attrib == {"name": "text", "value": "$text"}
    assert view.find("Choices").get("name") == "stars"
    assert [choice.get("value") for choice in view.iter("Choice")] == ["bad", "good"]
    for number, task in enumerate(tasks):
        # An import numbers the tasks anew.
        task["id"] = number
        region = task["predictions"][0]["result"][0]
        assert (region["from_name"], region["to_name"]) == ("stars", "text")
        task["annotations"] = [{"completed_by": 1, "result": [region]}]
    write_json(folder / "after.json", tasks)
    assert "2 labels changed" in run("decisions", folder / "out", folder / "after.json").output
    done = run("apply", folder / "out", source, "--label", "stars", "--id", "name", "-o", folder / "better.csv")
    assert done.exit_code == 0, done.output
    better = pd.read_csv(folder / "better.csv")
    assert better["stars"].tolist() == texts_and_labels()[1]


def test_a_table_goes_to_doccano_and_argilla(reviews):
    folder, arguments = reviews
    source, out = folder / "reviews.csv", folder / "out"
    run("export", out, source, *arguments, "--to", "doccano", "-o", folder / "look.jsonl")
    project = hs.labelling.read(folder / "look.jsonl")
    assert set(project.ids) == {"n3", "n10"}
    assert hs.labelling.decisions(hs.load(out), project).unchanged == 2
    run("export", out, source, *arguments, "--to", "argilla", "-o", folder / "records.json")
    records = json.loads((folder / "records.json").read_text())
    assert {record["id"] for record in records} == {"n3", "n10"}
    assert all(record["suggestions"]["stars"]["value"] in ("good", "bad") for record in records)
    assert "name the tool to write for" in error_line("export", out, source, *arguments, "-o", folder / "x.json")


def test_images_and_values_become_tasks(tmp_path):
    table = pd.DataFrame({"width": [1.5, 2, 3, 4], "kind": list("abab")})
    d = hs.measure_predictions(np.full((2, 4, 2), 0.5), list("xyxy"), label="y")
    hs.labelling.export_new(d, hs.Samples.of(table, list("xyxy"), label="y"), tmp_path / "t.json", "label-studio", top=1)
    assert json.loads((tmp_path / "t.json").read_text())[0]["data"]["text"] == "width: 1.5\nkind: a"
    pixels, ids = (
        np.random.default_rng(0).integers(0, 255, (4, 8, 8), np.uint8),
        [f"{kind}/1 {n}.png" for n, kind in enumerate("xyxy")],
    )
    d = hs.measure_predictions(np.full((2, 4, 2), 0.5), list("xyxy"), ids=ids)
    images = hs.Samples.of(pixels, list("xyxy"), ids=ids)
    hs.labelling.export_new(d, images, tmp_path / "i.json", "label-studio", top=1)
    (task,) = json.loads((tmp_path / "i.json").read_text())
    assert task["data"]["image"] == "/data/local-files/?d=x/1%200.png"
    assert '<Image name="image" value="$image"' in (tmp_path / "i.xml").read_text()
    for tool in ("doccano", "argilla"):
        rejects("use another tool", hs.labelling.export_new, d, images, tmp_path / "i.json", tool, top=1)
    numbers = hs.Samples.of(np.eye(4), list("xyxy"), ids=ids)
    rejects(
        "nothing that a labelling tool can show", hs.labelling.export_new, d, numbers, tmp_path / "n.json", "argilla", top=1
    )


def test_tasks_with_several_labels_go_round(tmp_path):
    words = {"food": ["pasta", "soup", "bread"], "staff": ["waiter", "cook", "host"], "price": ["cheap", "dear", "bill"]}
    rng, tasks = np.random.default_rng(0), []
    for number in range(90):
        topics = sorted(rng.choice(sorted(words), rng.integers(1, 3), replace=False).tolist())
        text = " ".join(word for topic in topics for word in rng.choice(words[topic], 3))
        if number in (5, 6):
            topics = sorted(set(words) - set(topics))
        annotation = choice("", control="topics")
        annotation["result"][0]["value"]["choices"] = topics
        tasks.append(label_studio_task(number, f"{text} {number}", [annotation]))
    path = write_json(tmp_path / "tasks.json", tasks)
    d = hs.measure(hs.read(path), learner="logistic", repeats=2, progress=False)
    assert hs.labelling.export(d, path, tmp_path / "look.json", top=2) == 2
    look = json.loads((tmp_path / "look.json").read_text())
    assert {task["id"] for task in look} == {105, 106}
    for task in look:
        suggested = task["predictions"][0]["result"][0]["value"]["choices"]
        assert task["data"]["hardsight_suggested"] == ", ".join(suggested)
        assert task["data"]["hardsight_given"] == ", ".join(task["annotations"][0]["result"][0]["value"]["choices"])
        assert task["data"]["hardsight_reason"].split(":")[0] in words
        assert 0 <= task["predictions"][0]["score"] <= 1
    assert not len(hs.labelling.decisions(d, path).table)
    look[0]["annotations"][0]["result"][0]["value"]["choices"] = ["food", "staff", "price"]
    changes = hs.labelling.decisions(d, write_json(tmp_path / "after.json", look))
    before = set(look[0]["data"]["hardsight_given"].split(", "))
    added = sorted(f"{look[0]['id']}/{topic}" for topic in {*words} - before)
    assert sorted(changes.table.index) == added
    assert set(changes.table["label"]) == {"yes"}
    assert changes.unchanged == 1
    assert d.apply(changes.table).labels[np.isin(d.ids, added)].tolist() == ["yes"] * len(added)
    look[0]["annotations"][0]["result"][0]["value"]["choices"] = ["food", "music"]
    rejects(
        "has the label 'music', which was not measured", hs.labelling.decisions, d, write_json(tmp_path / "n.json", look)
    )
    rejects("have several labels", lambda: hs.labelling.read(path).annotations)
    rejects(
        "parts of samples, of which no tasks are made", hs.labelling.export_new, d, hs.read(path), tmp_path / "x", "argilla"
    )
