"""Spans of texts go to Label Studio and doccano with advice, and come back as decisions about words."""

import json

import numpy as np
import pytest
from support.command_line import error_line, run

import hardsight as hs

PEOPLE, PLACES = ["Anna", "Boris", "Clara", "Dora"], ["Paris", "Lima", "New York"]
# Tasks with a person labelled as a place, and with a person that is not labelled.
OTHER_TYPE, MISSED = 7, 31


def sentences():
    """Return texts, the spans that they should have, and those that they have."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        who, where = rng.choice(PEOPLE), rng.choice(PLACES)
        text = f"{who} lives in {where}."
        true = [[0, len(who), "PER"], [text.index(where), len(text) - 1, "LOC"]]
        given = [[*each] for each in true]
        if number == OTHER_TYPE:
            given[0][2] = "LOC"
        rows.append((text, true, given[1:] if number == MISSED else given))
    return rows


def studio_annotation(text, spans):
    return {
        "completed_by": 1,
        "result": [
            {
                "from_name": "ner",
                "to_name": "text",
                "type": "labels",
                "value": {"start": start, "end": end, "text": text[start:end], "labels": [label]},
            }
            for start, end, label in spans
        ],
    }


def studio_tasks():
    return [
        {"id": 100 + number, "data": {"text": text}, "annotations": [studio_annotation(text, given)]}
        for number, (text, _, given) in enumerate(sentences())
    ]


def doccano_tasks():
    return [{"id": 100 + n, "text": text, "label": given, "Comments": []} for n, (text, _, given) in enumerate(sentences())]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    path = tmp_path_factory.mktemp("studio") / "tasks.json"
    path.write_text(json.dumps(studio_tasks()))
    return path


@pytest.fixture(scope="module")
def d(studio):
    return hs.measure(hs.read(studio), folds=3, repeats=2)


def values_of(task):
    return sorted(
        (each["value"]["start"], each["value"]["end"], *each["value"]["labels"]) for each in task["predictions"][0]["result"]
    )


@pytest.mark.slow
def test_label_studio_gets_the_spans_that_texts_should_have(d, studio, tmp_path) -> None:
    assert hs.labelling.export(d, studio, tmp_path / "look.json") == 2
    tasks = {task["id"]: task for task in json.loads((tmp_path / "look.json").read_text())}
    assert tasks.keys() == {100 + OTHER_TYPE, 100 + MISSED}
    for name, task in tasks.items():
        text, true, given = sentences()[name - 100]
        assert values_of(task) == sorted(map(tuple, true))
        assert task["data"]["hardsight_p_wrong"] > 0.5
        assert task["data"]["hardsight_given"] == "; ".join(f"{text[a:b]}: {label}" for a, b, label in given)
    assert "missed PER" in tasks[100 + MISSED]["data"]["hardsight_reason"]
    assert "is LOC, likelier PER" in tasks[100 + OTHER_TYPE]["data"]["hardsight_reason"]
    assert hs.labelling.export(d, studio, tmp_path / "top.json", top=5) == 5
    kept = json.loads((tmp_path / "top.json").read_text())[4]
    assert values_of(kept) == sorted(map(tuple, sentences()[kept["id"] - 100][2]))


@pytest.mark.slow
def test_changed_spans_come_back_as_decisions_about_words(d, studio, tmp_path) -> None:
    hs.labelling.export(d, studio, tmp_path / "look.json")
    again = json.loads((tmp_path / "look.json").read_text())
    for task in again:
        task["annotations"].append({"completed_by": 2, "result": task["predictions"][0]["result"]})
        # An import gives tasks new ids.
        task["id"] += 5000
    (tmp_path / "again.json").write_text(json.dumps(again))
    made = hs.labelling.decisions(d, tmp_path / "again.json")
    assert made.table["label"].to_dict() == {f"{100 + OTHER_TYPE}/0": "B-PER", f"{100 + MISSED}/0": "B-PER"}
    assert made.unchanged == made.unlabelled == made.not_measured == 0
    unchanged = hs.labelling.decisions(d, studio)
    assert len(unchanged.table) == 0
    assert unchanged.unchanged == 60
    skipped = studio_tasks()
    skipped[0]["annotations"][0]["was_cancelled"] = True
    skipped[1]["annotations"] = []
    (tmp_path / "skipped.json").write_text(json.dumps(skipped))
    made = hs.labelling.decisions(d, tmp_path / "skipped.json")
    assert set(made.table["action"]) == {"unsure"}
    assert made.unlabelled == 1


@pytest.mark.slow
def test_other_texts_and_results_are_refused(d, studio, tmp_path) -> None:
    tasks = studio_tasks()
    tasks[0]["data"]["text"] += " Yes."
    (tmp_path / "longer.json").write_text(json.dumps(tasks))
    with pytest.raises(hs.InputError, match="the text of 1 tasks, such as 100, has another number of words"):
        hs.labelling.decisions(d, tmp_path / "longer.json")
    (tmp_path / "others.json").write_text(json.dumps([{**task, "id": task["id"] + 900} for task in studio_tasks()]))
    with pytest.raises(hs.InputError, match="none of the 60 tasks was measured"):
        hs.labelling.export(d, tmp_path / "others.json", tmp_path / "look.json")
    table = hs.measure(np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2, learner="ridge", folds=3, repeats=2)
    with pytest.raises(hs.InputError, match="are not tokens, and these tasks have spans"):
        hs.labelling.export(table, studio, tmp_path / "look.json")


@pytest.mark.slow
def test_doccano_goes_round_on_the_command_line(tmp_path) -> None:
    path, out = tmp_path / "tasks.jsonl", tmp_path / "out"
    path.write_text("\n".join(map(json.dumps, doccano_tasks())))
    result = run("measure", path, "--folds", 3, "--repeats", 2, "--out", out, "--quiet")
    assert result.exit_code == 0, result.output
    result = run("export", out, path, "-o", tmp_path / "look.jsonl")
    assert "2 tasks to look at" in result.output, result.output
    tasks = [json.loads(line) for line in (tmp_path / "look.jsonl").read_text().splitlines()]
    # The labels stay as they were given.
    assert all(task["label"] == sentences()[task["hardsight_id"] - 100][2] for task in tasks)
    for number, task in enumerate(tasks):
        task["label"], task["id"] = sentences()[task["hardsight_id"] - 100][1], number
    (tmp_path / "again.jsonl").write_text("\n".join(map(json.dumps, tasks)))
    result = run("decisions", out, tmp_path / "again.jsonl")
    assert "2 labels changed, 0 did not" in result.output
    assert sorted((out / "decisions.csv").read_text().splitlines()[1:]) == [
        f"{100 + OTHER_TYPE}/0,relabel,B-PER",
        f"{100 + MISSED}/0,relabel,B-PER",
    ]
    for task in tasks:
        task["label"][0][2] = "LOC"
    (tmp_path / "third.jsonl").write_text("\n".join(map(json.dumps, tasks)))
    assert "decides otherwise about" in error_line("decisions", out, tmp_path / "third.jsonl")
