"""What every labelling tool's file holds: tasks, labels by annotators, and room for advice about tasks."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from hardsight.data.conversion import object_array
from hardsight.data.formats.table import Table
from hardsight.data.image_decoding import SUFFIXES
from hardsight.data.labels import missing_labels
from hardsight.errors import InputError
from hardsight.validation import format_option, join_examples, join_names

# Fields that hardsight adds to tasks: never features.
PREFIX = "hardsight_"
# The field that keeps a task's id where a tool gives tasks new ids when they are imported.
ID_FIELD = f"{PREFIX}id"
_ID = "id"
_MAX_NAMES = 5


class NewTasks(NamedTuple):
    """What tasks show that are made from samples.

    Attributes:
        ids: of the samples.
        contents: a text per task, or the path of an image.
        labels: those that were measured; None without labels.
        control: what the label is called.
        classes: the labels to choose from; None if they are numbers.
        kind: what the contents are.
    """

    ids: tuple[Any, ...]
    contents: list[str]
    labels: list[Any]
    control: str
    classes: tuple[Any, ...] | None
    kind: Literal["text", "image"]


class Label(NamedTuple):
    """One label that one annotator gave to one task.

    Attributes:
        task: position of the task.
        annotator: name or number; None if the tool's file does not say.
        value: the label.
        time: when it was given or last changed, as text that sorts by time; "" if unknown.
        is_truth: whether the tool marks it as true.
    """

    task: int
    annotator: str | int | None
    value: Any
    time: str = ""
    is_truth: bool = False


class Advice(NamedTuple):
    """What a measurement says about one task.

    Attributes:
        id: of the task.
        measured: the label that was measured.
        label: the likeliest true label; None if there is none to suggest.
        p_label: its probability; None if unknown.
        rank: 1 for the task to look at first.
        p_wrong: probability that the given label is wrong, or that a target is an outlier; None if unknown.
        error: mean held-out loss.
        reason: one sentence on why it is hard.
        chosen: whether it is among the tasks to look at.
    """

    id: str | int
    measured: Any
    label: Any
    p_label: float | None
    rank: int
    p_wrong: float | None
    error: float
    reason: str = ""
    chosen: bool = True

    @property
    def score(self) -> float | None:
        """Probability of the suggested label, with few digits; None if unknown."""
        return None if self.p_label is None else round(self.p_label, 4)

    def fields(self) -> dict[str, Any]:
        """Return what tasks show of it, by name; numbers with few digits."""
        numbers = {"p_wrong": self.p_wrong, "error": self.error}
        fields: dict[str, Any] = {f"{PREFIX}rank": self.rank}
        fields |= {f"{PREFIX}{name}": round(value, 4) for name, value in numbers.items() if value is not None}
        labels = {"given": self.measured, "suggested": self.label}
        fields |= {f"{PREFIX}{name}": _as_text(value) for name, value in labels.items() if value is not None}
        return fields | ({f"{PREFIX}reason": self.reason} if self.reason else {})


@dataclass(frozen=True, eq=False)
class LabellingProject:
    """The tasks in a file of a labelling tool, and the labels that people gave them.

    Attributes:
        tool: name of the tool.
        document: the parsed file: one object per task.
        ids: of the tasks, int or str, unique.
        data: what the tasks show, one row per task and one column per field.
        control: what the label is called in the tool: a control, a question or a field.
        content: the field that is labelled; None if that is not known.
        labels: of all annotators, in the order of the file.
        skipped: positions of tasks that annotators skipped and nobody labelled.
        notices: what a user should know about how the file was read, one sentence each.
        lines: whether the file holds one object per line.
        extra: what only the tool's own module reads.
    """

    tool: str
    document: Any
    ids: tuple[Any, ...]
    data: pd.DataFrame
    control: str
    content: str | None
    labels: tuple[Label, ...]
    skipped: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()
    lines: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return one line: how many labels of how many tasks."""
        return f"LabellingProject({self.tool}: {len(self.labels):,} labels {self.control!r} of {len(self.ids):,} tasks)"

    @property
    def kind(self) -> Literal["text", "image", "table"]:
        """What the tasks show: a text, an image, or several fields."""
        if self.content is None:
            return "table"
        values = [value for value in self.data[self.content] if isinstance(value, str)]
        return "image" if values and all(is_image(value) for value in values) else "text"

    @property
    def several(self) -> bool:
        """Whether a task may have several labels; then each value is a tuple."""
        return any(isinstance(label.value, tuple) for label in self.labels)

    @property
    def annotations(self) -> pd.DataFrame:
        """One row per label, with the columns item, annotator and label, for :meth:`hardsight.Annotations.of`.

        Raises:
            InputError: the file does not say who gave the labels.
        """
        unknown = [self.ids[label.task] for label in self.labels if label.annotator is None]
        if unknown:
            raise InputError(
                f"this {self.tool} file does not say who gave the labels of {join_examples(unknown, 3)}: export it with the "
                "annotators, or measure one label per task (hardsight measure)"
            )
        rows = [(self.ids[label.task], label.annotator, label.value) for label in self.labels]
        if self.several:
            raise InputError(
                f"tasks of this {self.tool} file have several labels, and annotators are compared by one label per task: "
                "measure the file (hardsight measure)"
            )
        # Numbers and names of annotators are not mixed in one column.
        table = pd.DataFrame(rows, columns=["item", "annotator", "label"], dtype=object)
        kinds = {type(who) for who in table["annotator"]}
        table["annotator"] = table["annotator"].map(str) if len(kinds) > 1 else table["annotator"]
        return table

    def newest_labels(self) -> dict[int, Any]:
        """Return the label that was given last, by the position of its task."""
        newest: dict[int, Label] = {}
        for label in self.labels:
            if label.task not in newest or label.time >= newest[label.task].time:
                newest[label.task] = label
        return {task: label.value for task, label in newest.items()}

    def agreed_labels(self) -> tuple[dict[int, Any], int]:
        """Return one label by the position of its task, and of how many tasks annotators gave different labels.

        A label that the tool marks as true counts alone; otherwise the most frequent one, and of equally frequent ones the
        one that was given last.
        """
        newest, disputed, agreed = self.newest_labels(), 0, {}
        by_task: dict[int, list[Label]] = {}
        for label in self.labels:
            by_task.setdefault(label.task, []).append(label)
        for task, labels in by_task.items():
            true = [label for label in labels if label.is_truth]
            counts = Counter(label.value for label in true or labels)
            disputed += len(counts) > 1
            most = max(counts.values())
            likeliest = [value for value, count in counts.items() if count == most]
            agreed[task] = newest[task] if newest[task] in likeliest else likeliest[-1]
        return agreed, disputed

    def advised_tasks(self, advice: Sequence[Advice]) -> Iterator[tuple[Any, Advice]]:
        """Yield the tasks that advice is about, in its order, each with its advice."""
        tasks = dict(zip(self.ids, self.document, strict=True))
        yield from ((tasks[each.id], each) for each in advice)

    def table(self) -> Table:
        """Return one row per task: its id, what it shows, and one label; with the roles of these columns.

        Raises:
            InputError: no task has a label.
        """
        agreed, disputed = self.agreed_labels()
        if not agreed:
            skipped = f" ({len(self.skipped):,} were skipped)" if self.skipped else ""
            raise InputError(
                f"none of the {len(self.ids):,} tasks of this {self.tool} file has a label{skipped}: export labelled tasks"
            )
        id_name = _ID if self.control != _ID else f"task_{_ID}"
        names = {name: f"data.{name}" if name in (id_name, self.control) else str(name) for name in self.data}
        names = {name: column for name, column in names.items() if not _is_own(name)}
        columns: dict[str, list[Any]] = {id_name: list(self.ids)}
        columns |= {column: self.data[name].tolist() for name, column in names.items()}
        values = [agreed.get(task) for task in range(len(self.ids))]
        columns[self.control] = [list(value) if isinstance(value, tuple) else value for value in values]
        roles = {"label": self.control, "id": id_name}
        if self.content is not None:
            roles[self.kind] = names[self.content]
        # As objects, so that a missing label does not make numbers of integers.
        frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
        return Table(frame.infer_objects(), self._describe(disputed), roles)

    def _describe(self, disputed: int) -> list[str]:
        notices = [f"Read as tasks of {self.tool}; the label is {self.control!r}.", *self.notices]
        if disputed:
            notices.append(
                f"Annotators gave {disputed:,} of {len(self.ids):,} tasks different labels: the most frequent counts, of "
                "equally frequent ones the newest. `hardsight annotators` weighs them by how good each annotator is."
            )
        if self.skipped:
            notices.append(f"Tasks that were skipped and have no label: {len(self.skipped):,}.")
        return notices


def _as_text(label: Any) -> Any:
    return ", ".join(map(str, label)) if isinstance(label, list) else label


def as_sets(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Return labels whose values are sorted tuples if one of them is a tuple: a task may have several labels then."""
    if not any(isinstance(label.value, tuple) for label in labels):
        return tuple(labels)
    values = [label.value if isinstance(label.value, tuple) else (label.value,) for label in labels]
    return tuple(label._replace(value=tuple(sorted(map(str, each)))) for label, each in zip(labels, values, strict=True))


def _is_own(name: Any) -> bool:
    return str(name).startswith(PREFIX)


def choose_control(tool: str, what: str, controls: Collection[str], name: str | None, default: str | None = None) -> str:
    """Return the control whose labels are read.

    Args:
        what: what the tool calls a control.
        controls: names of those that have labels, unique.
        name: the name that the user passed, if any.
        default: the name that the tool uses by convention, if it has one.

    Raises:
        InputError: there is none, several and none was chosen, or the one that was named is not among them.
    """
    names = join_names(sorted(controls), _MAX_NAMES)
    if name is not None:
        if name in controls:
            return name
        raise InputError(f"label must be a {what} of this {tool} file. Got {name!r}: use {names or 'a labelled file'}")
    if not controls:
        raise InputError(f"no task of this {tool} file has a label that can be measured: export labelled tasks")
    first = min(controls)
    if len(controls) == 1:
        return first
    if default is not None and default in controls:
        return default
    raise InputError(
        f"this {tool} file has several {what}s, {names}: choose one (label={first!r}, {format_option('label', first)})"
    )


def unique_ids(tool: str, ids: Sequence[Any], notices: list[str]) -> tuple[Any, ...]:
    """Return the ids of tasks, those of row numbers if no task has one.

    Raises:
        InputError: some tasks have no id, or two have the same.
    """
    missing = missing_labels(object_array(ids))
    if missing.all():
        notices.append("The tasks have no ids: their numbers in the file, from 0, are their ids.")
        return tuple(range(len(ids)))
    if missing.any():
        raise InputError(f"task {int(missing.argmax()) + 1} of this {tool} file has no id, but others have: export it again")
    kinds = {isinstance(each, str) for each in ids}
    names = tuple(map(str, ids)) if len(kinds) > 1 else tuple(ids)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"ids of tasks must be unique. Repeated: {join_examples(repeated, 3)}: export the file again")
    return names


def find_content(data: pd.DataFrame, names: Sequence[str]) -> str | None:
    """Return the field that is labelled: one of these names, or else the only field that holds texts.

    >>> find_content(pd.DataFrame({"text": ["a b"], "source": ["x"]}), ["text"])
    'text'
    """
    fields = [name for name in data if not _is_own(name)]
    for name in names:
        if name in fields and any(isinstance(value, str) for value in data[name]):
            return name
    texts = [name for name in fields if all(isinstance(value, str) for value in data[name]) and name != _ID]
    return str(texts[0]) if len(fields) == 1 and texts else None


def image_path(address: str) -> PurePosixPath:
    """Return the path in the address of an image, whatever serves it.

    >>> image_path("/data/local-files/?d=pets/cat%201.png"), image_path("https://x.org/a/b.jpg?size=2")
    (PurePosixPath('pets/cat 1.png'), PurePosixPath('/a/b.jpg'))
    """
    try:
        parts = urlsplit(address.replace("\\", "/"))
    except ValueError:
        return PurePosixPath(address)
    served = parse_qs(parts.query).get("d")
    return PurePosixPath(served[0] if served else unquote(parts.path))


def is_image(address: str) -> bool:
    """Return whether a text is the address of an image file: one line without blanks at its ends, with such an ending."""
    return "\n" not in address and len(address) < 4096 and image_path(address).suffix.lower() in SUFFIXES
