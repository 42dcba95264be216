"""What is read from the files of labelling tools, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.errors import rejects
from support.labelling_files import (
    argilla_records,
    choice,
    doccano_tasks,
    fiftyone_sample,
    label_studio_task,
    label_studio_tasks,
    write_json,
)

import hardsight as hs
from hardsight.data.labelling.project import image_path

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize(
    ("file", "tool", "control", "labels", "ids"),
    [
        ("label_studio.json", "Label Studio", "sentiment", ["bad", "good", "bad", "good"], [11, 12, 13, 14]),
        ("argilla_records.json", "argilla", "sentiment", ["bad", "good", "good", "good", "bad", "good"], ["r0", "r1"]),
        ("doccano.jsonl", "doccano", "label", ["bad", "good"], [7, 8, 9]),
    ],
)
def test_files_that_the_tools_own_code_wrote_are_read(file, tool, control, labels, ids):
    project = hs.labelling.read(FIXTURES / file)
    assert (project.tool, project.control, project.kind, project.content) == (tool, control, "text", "text")
    assert [label.value for label in project.labels] == labels
    assert list(project.ids)[: len(ids)] == ids


def test_a_dataset_that_fiftyone_wrote_is_read():
    project = hs.labelling.read(FIXTURES / "fiftyone")
    assert (project.tool, project.control, project.kind) == ("FiftyOne", "ground_truth", "image")
    assert [label.value for label in project.labels] == ["dog", "cat", "dog", "dog"]
    assert project.data["filepath"].tolist() == [f"/photos/pets/{n}.png" for n in range(4)]
    assert all(len(name) == 24 for name in project.ids)


def test_the_samples_of_a_file_are_its_labelled_tasks(tmp_path):
    tasks = [*label_studio_tasks(4), label_studio_task(4, "not seen", [])]
    tasks[1]["data"]["hardsight_suggested"] = "good"
    samples = hs.read(write_json(tmp_path / "tasks.json", tasks))
    assert samples.ids.tolist() == [100, 101, 102, 103]
    assert samples.kind == "text"
    assert samples.label_name == "sentiment"
    assert list(samples.features) == [task["data"]["text"] for task in tasks[:4]]
    assert any("Read as tasks of Label Studio" in notice for notice in samples.notices)
    assert not any("hardsight_" in notice for notice in samples.notices)


def test_annotators_are_known_and_cancelled_annotations_are_not_labels(tmp_path):
    who = {"id": 3, "email": "bo@x.org"}
    skipped = [choice("bad", was_cancelled=True)]
    tasks = [
        label_studio_task(0, "a b", [choice("good", 1), choice("bad", who), choice("bad", 2, was_cancelled=True)]),
        label_studio_task(1, "c d", skipped),
        label_studio_task(2, "e f", [{"completed_by": 1, "result": []}]),
    ]
    project = hs.labelling.read(write_json(tmp_path / "tasks.json", tasks))
    assert project.annotations.values.tolist() == [[100, "1", "good"], [100, "bo@x.org", "bad"]]
    assert project.skipped == (1,)


@pytest.mark.parametrize(
    ("annotations", "label"),
    [
        ([choice("a", 1), choice("a", 2), choice("b", 3)], "a"),
        ([choice("a", 1, updated_at="2024-02"), choice("b", 2, updated_at="2024-01")], "a"),
        ([choice("a", 1), choice("b", 2)], "b"),
        ([choice("a", 1), choice("a", 2), choice("b", 3, ground_truth=True)], "b"),
    ],
)
def test_one_label_of_several_annotators_counts(tmp_path, annotations, label):
    project = hs.labelling.read(write_json(tmp_path / "tasks.json", [label_studio_task(0, "x", annotations)]))
    assert project.agreed_labels()[0] == {0: label}
    assert project.annotations["item"].tolist() == [100] * len(annotations)


def test_disputed_labels_are_told(tmp_path):
    tasks = label_studio_tasks(6)
    tasks[0]["annotations"].append(choice("good", 2))
    samples = hs.read(write_json(tmp_path / "tasks.json", tasks))
    assert any("1 of 6 tasks different labels" in notice for notice in samples.notices)


def result(control, kind, value):
    return {"from_name": control, "to_name": "text", "type": kind, "value": value}


@pytest.mark.parametrize(
    ("kind", "value", "label"),
    [
        ("rating", {"rating": 4}, 4),
        ("number", {"number": 2.5}, 2.5),
        ("taxonomy", {"taxonomy": [["food", "soup"]]}, "food / soup"),
    ],
)
def test_other_controls_with_one_value_per_task(tmp_path, kind, value, label):
    annotation = {"completed_by": 1, "result": [result("how", kind, value)]}
    project = hs.labelling.read(write_json(tmp_path / "tasks.json", [label_studio_task(0, "x", [annotation])]))
    assert [each.value for each in project.labels] == [label]


def test_one_of_several_controls_is_chosen(tmp_path):
    tasks = label_studio_tasks(6)
    for number, task in enumerate(tasks):
        task["annotations"][0]["result"].append(
            result("topic", "choices", {"choices": ["food" if number % 2 else "people"]})
        )
    path = write_json(tmp_path / "tasks.json", tasks)
    message = rejects("several label controls", hs.read, path)
    assert "'sentiment', 'topic'" in message
    assert "--label sentiment" in message
    assert hs.read(path, label="topic").classes == ("food", "people")
    rejects("must be a label control.*'mood'", hs.read, path, label="mood")


@pytest.mark.parametrize(
    ("annotation", "match"),
    [
        (
            {"result": [result("ner", "hypertextlabels", {"start": "/p", "end": "/p", "hypertextlabels": ["A"]})]},
            r"labels parts of tasks, in 'ner \(hypertextlabels",
        ),
        ({"result": [result("box", "rectanglelabels", {"x": 1, "rectanglelabels": ["A"]})]}, "labels parts of tasks"),
        ({"result": [result("of", "choices", {"start": 0, "end": 2, "choices": ["A"]})]}, "labels parts of tasks"),
        ({"result": []}, "none of the 2 tasks .* has a label"),
        (
            {"result": [result("topic", "choices", {"choices": ["A"]})], "was_cancelled": True},
            r"has a label \(2 were skipped\)",
        ),
    ],
)
def test_faults_of_label_studio_files_take_one_line(tmp_path, annotation, match):
    tasks = [label_studio_task(n, "x", [annotation]) for n in range(2)]
    rejects(match, hs.read, write_json(tmp_path / "tasks.json", tasks))


def test_ids_repeat_or_lack(tmp_path):
    tasks = label_studio_tasks(4)
    tasks[1]["id"] = tasks[0]["id"]
    rejects("ids of tasks must be unique. Repeated: 100", hs.read, write_json(tmp_path / "tasks.json", tasks))
    del tasks[1]["id"]
    rejects("task 2 of this Label Studio file has no id", hs.read, write_json(tmp_path / "tasks.json", tasks))
    for task in tasks:
        task.pop("id", None)
    assert hs.read(write_json(tmp_path / "tasks.json", tasks)).ids.tolist() == [0, 1, 2, 3]


def test_the_id_that_was_measured_outlives_an_import(tmp_path):
    tasks = label_studio_tasks(4)
    for number, task in enumerate(tasks):
        task["id"], task["data"]["hardsight_id"] = 900 + number, f"row {number}"
    assert hs.read(write_json(tmp_path / "tasks.json", tasks)).ids.tolist() == ["row 0", "row 1", "row 2", "row 3"]


def test_doccano_files_of_several_annotators(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    mine, yours = doccano_tasks(6), doccano_tasks(6, wrong=(0,))
    yours[5]["label"] = []
    write_json(folder / "ann.jsonl", mine)
    write_json(folder / "bob.jsonl", yours)
    project = hs.labelling.read(folder)
    assert len(project.annotations) == 11
    assert set(project.annotations["annotator"]) == {"ann", "bob"}
    assert hs.Annotations.of(project.annotations, item="item", annotator="annotator", label="label").items.tolist() == [
        *range(100, 106)
    ]
    yours[2]["text"] = "another text"
    write_json(folder / "bob.jsonl", yours)
    rejects("task 102 shows something else to 'bob'", hs.labelling.read, folder)


@pytest.mark.parametrize("labels", [["a", "b"], [[0, 2]], "a"])
def test_other_lines_with_labels_stay_ordinary_tables(tmp_path, labels):
    tasks = [{**task, "label": labels} for task in doccano_tasks(4)]
    for task in tasks:
        del task["Comments"]
    rejects(
        "was not written by Label Studio or argilla or doccano", hs.labelling.read, write_json(tmp_path / "t.jsonl", tasks)
    )


def test_argilla_questions(tmp_path):
    records = argilla_records(4)
    records[0]["responses"]["sentiment"][0]["status"] = "draft"
    assert hs.read(write_json(tmp_path / "records.json", records)).ids.tolist() == ["r1", "r2", "r3"]
    for record in records:
        record["responses"]["tags"] = [{"value": [{"start": 0, "label": "a"}], "user_id": "1"}]
    path = write_json(tmp_path / "records.json", records)
    assert hs.labelling.read(path).control == "sentiment"
    rejects("responses to 'tags' hold spans or ranks", hs.read, path, label="tags")


@pytest.mark.parametrize("tool", ["label_studio", "doccano", "argilla"])
def test_several_labels_per_task(tmp_path, tool):
    sets = [["a"], ["a", "b"], ["b"], ["b", "a"], [], ["c"]]
    if tool == "label_studio":
        tasks = [label_studio_task(n, f"text {n}", [choice("")]) for n in range(6)]
        for task, labels in zip(tasks, sets, strict=True):
            task["annotations"][0]["result"][0]["value"] = {"choices": labels}
    elif tool == "doccano":
        tasks = [{**task, "label": labels} for task, labels in zip(doccano_tasks(6), sets, strict=True)]
    else:
        tasks = argilla_records(6)
        for task, labels in zip(tasks, sets, strict=True):
            task["responses"]["sentiment"][0]["value"] = labels
    path = write_json(tmp_path / "tasks.json", tasks)
    samples = hs.read(path)
    assert samples.classes == ("no", "yes")
    assert set(samples.parts.name) == {"a", "b", "c"}
    # Nobody said that no label applies to the task without one.
    assert len(samples) == 15
    yes = {name for name, label in zip(samples.ids, samples.labels, strict=True) if label}
    first = hs.labelling.read(path).ids[1]
    assert {f"{first}/a", f"{first}/b"} <= yes
    assert len(yes) == 7


def make_images(folder, n=6):
    for number in range(n):
        path = folder / "pets" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(path)


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=pets/{}",
        "https://x.org/bucket/pets/{}?token=1",
        "s3://bucket/pets/{}",
        "C:\\photos\\pets\\{}",
        "pets/{}",
    ],
)
def test_images_are_found_beside_the_file(tmp_path, address):
    make_images(tmp_path)
    tasks = []
    for number in range(6):
        kind = "cat" if number % 2 else "dog"
        task = label_studio_task(number, "", [choice(kind)])
        task["data"] = {"image": address.format(f"{kind}/{number}.png")}
        tasks.append(task)
    samples = hs.read(write_json(tmp_path / "tasks.json", tasks))
    assert samples.kind == "image"
    assert [int(pixels[0, 0]) for pixels in samples.features] == [0, 40, 80, 120, 160, 200]
    assert samples.classes == ("cat", "dog")


def test_images_that_are_not_there(tmp_path):
    samples = [fiftyone_sample(n, f"/far/away/{n}.png", "cat" if n % 2 else "dog") for n in range(6)]
    path = write_json(tmp_path / "samples.json", {"samples": samples})
    assert "--embedding vectors.npy" in rejects("6 of 6 images are not in the folder", hs.read, path)
    np.save(tmp_path / "vectors.npy", np.eye(6))
    read = hs.read(path, embedding=str(tmp_path / "vectors.npy"))
    assert read.ids.tolist()[0] == samples[0]["_id"]["$oid"]
    assert read.matrix.shape == (6, 6)


def test_no_image_stands_for_two_addresses_or_leads_out_of_the_folder(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    make_images(tmp_path, 1)
    Image.new("L", (8, 8)).save(folder / "1.png")
    both = [fiftyone_sample(n, f"/{kind}/1.png", kind) for n, kind in enumerate(["cat", "dog"])]
    rejects(
        "would be the image of '/cat/1.png' and of '/dog/1.png'",
        hs.read,
        write_json(folder / "samples.json", {"samples": both}),
    )
    (folder / "0.png").symlink_to(tmp_path / "pets" / "dog" / "0.png")
    outside = [
        fiftyone_sample(n, path, kind) for n, (path, kind) in enumerate([("0.png", "cat"), ("../pets/dog/0.png", "dog")])
    ]
    rejects("2 of 2 images are not in the folder", hs.read, write_json(folder / "samples.json", {"samples": outside}))


def test_fields_of_fiftyone(tmp_path):
    samples = [fiftyone_sample(n, f"{n}.png", "cat" if n % 2 else "dog") for n in range(4)]
    for sample in samples:
        sample["kind"] = {"_cls": "Classification", "label": "pet"}
        sample["boxes"] = {"_cls": "Detections", "detections": []}
    path = write_json(tmp_path / "samples.json", {"samples": samples})
    assert hs.labelling.read(tmp_path).control == "ground_truth"
    assert hs.labelling.read(path, "kind").agreed_labels()[0][0] == "pet"
    rejects("must be a classification field.*'boxes'", hs.labelling.read, path, "boxes")
    for sample in samples:
        sample["truth"] = sample.pop("ground_truth")
    path.write_text(json.dumps({"samples": samples}))
    rejects("several classification fields", hs.labelling.read, path)


def test_addresses_that_are_no_urls_are_paths():
    assert image_path("http://[broken/a.png").name == "a.png"
