"""Spans in files of Label Studio and doccano: words and their tags, and what is refused."""

import json

import pytest

import hardsight as hs
from hardsight.data.formats import json_records
from hardsight.data.labelling.files import find_span_project, read_project
from hardsight.data.labelling.spans import SpanProject, TextSpan, word_places
from hardsight.data.tokens.schemes import Span

TEXT = "Anna-Lena met Bo's \U0001f600 cat in New York."


def region(first, last, label, **changes):
    value = {"start": first, "end": last, "text": TEXT[first:last], "labels": [label], **changes}
    return {"from_name": "ner", "to_name": "text", "type": "labels", "value": value}


def studio_task(number, *annotations, text=TEXT):
    return {"id": number, "data": {"text": text, "source": "web"}, "annotations": list(annotations)}


def entered(*results, **fields):
    return {"completed_by": 1, "result": list(results), **fields}


def write(path, document, *, lines=False):
    content = "\n".join(map(json.dumps, document)) if lines else json.dumps(document)
    path.write_text(content, encoding="utf-8")
    return path


def test_words_are_runs_of_letters_punctuation_and_letters_of_scripts_without_blanks() -> None:
    texts = ["don't", "北京 is", "กข", "π≈3.14"]
    words = [[text[start:end] for start, end in word_places(text)] for text in texts]
    assert words == [["don", "'", "t"], ["北", "京", "is"], ["ก", "ข"], ["π", "≈", "3", ".", "14"]]


@pytest.mark.parametrize("in_units", [False, True])
def test_spans_of_label_studio_become_tags_and_characters_again(tmp_path, in_units) -> None:
    start = TEXT.index("New York")
    shift = int(in_units)
    place = {"start": start + shift, "end": start + 8 + shift, "text": "New York"}
    tasks = [
        studio_task(7, entered(region(0, 9, "PER"), region(14, 16, "PER"), region(start, start + 8, "LOC", **place))),
        studio_task(8, entered(region(0, 4, "PER")), entered(region(0, 9, "PER"), updated_at="2026-01-01")),
        studio_task(9, entered()),
        studio_task(10, entered(was_cancelled=True)),
        studio_task(11),
    ]
    project = read_project(write(tmp_path / "tasks.json", tasks))
    assert isinstance(project, SpanProject)
    assert project.spans[0] == (TextSpan(0, 9, "PER"), TextSpan(14, 16, "PER"), TextSpan(start, start + 8, "LOC"))
    assert project.spans[1:] == ((TextSpan(0, 9, "PER"),), (), None, None)
    assert project.skipped == (3,)
    tokens = project.tokens()
    assert tokens.scheme == "BIO"
    assert dict(tokens.sentences()).keys() == {7, 8, 9}
    first = [tag for tag, task in zip(tokens.tags, tokens.sentence, strict=True) if task == 7]
    assert first == ["B-PER", "I-PER", "I-PER", "O", "B-PER", "O", "O", "O", "O", "O", "B-LOC", "I-LOC", "O"]
    assert project.place(0, Span(10, 12, "LOC")) == project.spans[0][2]
    assert any("Annotations of 1 tasks differ" in notice for notice in tokens.notices)
    assert any("2 tasks without labels" in notice for notice in tokens.notices)


@pytest.mark.parametrize("form", ["label", "entities"])
def test_spans_of_doccano_are_read(tmp_path, form) -> None:
    spans = [[0, 9, "PER"], [14, 16, "PER"]]
    if form == "entities":
        spans = [{"id": at, "start_offset": a, "end_offset": b, "label": name} for at, (a, b, name) in enumerate(spans)]
    records = [{"id": 1, "text": TEXT, form: spans, "Comments": []}, {"id": 2, "text": "Nobody is here.", form: []}]
    samples = hs.read(write(tmp_path / "tasks.jsonl", records, lines=True))
    assert samples.parts is not None
    assert samples.parts.sample.tolist().count(2) == 4
    assert [samples.classes[code] for code in samples.labels[:5]] == ["B-PER", "I-PER", "I-PER", "O", "B-PER"]
    assert any("Read as tasks of doccano with spans" in notice for notice in samples.notices)


def test_spans_that_are_not_whole_words_count_as_words_with_a_notice() -> None:
    project = SpanProject(
        "x", [{}] * 2, (1, 2), (TEXT, "a b"), ((TextSpan(14, 15, "PER"), TextSpan(13, 14, "X")), ()), "label"
    )
    tokens = project.tokens()
    assert tokens.tags[:5].tolist() == ["O", "O", "O", "O", "B-PER"]
    assert "1 span begins or ends within a word" in tokens.notices[1]
    assert "1 span holds no word" in tokens.notices[2]


def test_choices_beside_spans_are_read_as_before(tmp_path) -> None:
    choice = {"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["news"]}}
    path = write(tmp_path / "tasks.json", [studio_task(1, entered(choice, region(0, 4, "PER")))])
    assert read_project(path).control == "topic"
    assert isinstance(read_project(path, "ner"), SpanProject)
    tasks = [studio_task(n, entered(choice, region(0, 4 + n, "PER")), text=TEXT + "!" * n) for n in range(3)]
    samples = hs.read(write(tmp_path / "three.json", tasks), label="ner")
    assert set(samples.classes) == {"B-PER", "I-PER", "O"}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [studio_task(n, entered(region(0, 9, "PER"), region(5, 9, "ORG"))) for n in (1, 2)],
            r"spans overlap in 2 tasks of this Label Studio file \(1, 2\), and a word has one tag",
        ),
        (
            [studio_task(3, entered(region(0, 4, "PER", labels=["PER", "ORG"])))],
            r"regions of 1 tasks .* \(3\): give each one",
        ),
        ([studio_task(3, entered(region(0, 400, "PER")))], r"lie outside the text \(3\)"),
        ([studio_task(3, entered(region(0, 4, "PER"))), studio_task(3)], "ids of tasks must be unique"),
        ([{"id": 5, "text": "Bo", "label": [[0, 9, "PER"]]}], r"spans of 1 tasks lie outside of the text \(5\)"),
    ],
)
def test_spans_that_cannot_be_read_are_refused_in_one_line(tmp_path, tasks, message) -> None:
    with pytest.raises(hs.InputError, match=message) as caught:
        hs.read(write(tmp_path / "tasks.json", tasks))
    assert "\n" not in str(caught.value)


def test_other_json_is_read_once(tmp_path, monkeypatch) -> None:
    records = [{"text": f"a {n}", "label": "x"} for n in range(4)]
    monkeypatch.setattr(json_records, "read_document", lambda *_: pytest.fail("read"))
    assert find_span_project(write(tmp_path / "t.jsonl", records, lines=True), None) is None


def test_columns_of_tables_are_refused_for_spans(tmp_path) -> None:
    path = write(tmp_path / "tasks.json", [studio_task(3, entered(region(0, 4, "PER")))])
    with pytest.raises(hs.InputError, match="whose words are measured: leave out id"):
        hs.read(path, id="source")


def test_a_region_that_was_entered_twice_is_one(tmp_path) -> None:
    tasks = [studio_task(1, entered(region(0, 9, "PER"), region(0, 9, "PER"))), studio_task(2, entered())]
    tokens = read_project(write(tmp_path / "tasks.json", tasks)).tokens()
    assert tokens.spans()["text"].tolist() == ["Anna - Lena"]


def test_regions_that_store_another_text_have_a_notice(tmp_path) -> None:
    lines = "Anna\nLena slept."
    whole = region(0, 9, "PER", text="Anna\\nLena")
    tasks = [studio_task(1, entered(region(1, 10, "PER", text="Anna-Lena"))), studio_task(2, entered(whole), text=lines)]
    (notice,) = read_project(write(tmp_path / "tasks.json", tasks)).notices
    assert notice.startswith("1 region stores another text")
