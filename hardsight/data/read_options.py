"""The options of :func:`hardsight.read`: what the columns are for, and how the file is written."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from hardsight.data import images, text
from hardsight.data.embeddings import is_file_name
from hardsight.data.formats.dialect import stated_separator
from hardsight.data.labels import Task
from hardsight.errors import Faults, InputError
from hardsight.io.text_files import check_encoding
from hardsight.validation import check_choice, format_option, suggest_name

# Roles that one column (or array, or file) can have.
ROLES = ("label", "id", "group", "weights", "text")
# Options that are passed on to Samples.of.
_FOR_SAMPLES = ("task", "embedding", "unlabelled", "merge_spellings", "label_separator")


@dataclass(frozen=True)
class ReadOptions:
    """The words of :func:`hardsight.read`, which are also the options of the command; :func:`read` describes them.

    A new option is a field here, an argument of :func:`hardsight.read` and an option of ``hardsight measure``.
    """

    label: str | None = None
    id: str | None = None
    group: str | None = None
    weights: str | None = None
    text: str | None = None
    drop: Sequence[str] = ()
    task: str = "auto"
    embedding: Any = "auto"
    merge_spellings: bool = False
    separator: str | None = None
    header: bool = True
    encoding: str | None = None
    sheet: str | None = None
    unlabelled: str = "drop"
    split: Sequence[str] = ()
    skip_broken: bool = False
    tag_column: str | None = None
    labels: Sequence[str] = ()
    label_separator: str | None = None

    def __post_init__(self) -> None:
        for name in ("drop", "split", "labels"):
            value = getattr(self, name)
            object.__setattr__(
                self, name, (value,) if isinstance(value, str) else tuple(_as_name(name, each) for each in value or ())
            )
        for role in ROLES:
            object.__setattr__(self, role, _as_name(role, getattr(self, role)))
        if self.label_separator is not None and self.task == "auto":
            # Labels such as 1,2 are no numbers.
            object.__setattr__(self, "task", "classification")

    @property
    def columns(self) -> dict[str, str]:
        """The column, array or file that was named for each role."""
        return {role: name for role in ROLES if (name := getattr(self, role)) is not None}

    @property
    def sample_options(self) -> dict[str, Any]:
        """What is passed on to :meth:`hardsight.Samples.of`."""
        return {name: getattr(self, name) for name in _FOR_SAMPLES} | {"labels": self.labels or None}

    def check(self) -> None:
        """Check what can be checked before a file is opened.

        Raises:
            InputError: a column with a role that is also dropped, or a word that is not among those of its option.
        """
        faults = Faults()
        for switch in ("header", "skip_broken", "merge_spellings"):
            with faults.collect():
                # The header of pandas is the number of a line, 0 for the first.
                if not isinstance(value := getattr(self, switch), bool):
                    raise InputError(f"{switch} must be True or False. Got {value!r}")
        for role, name in self.columns.items():
            with faults.collect():
                if name in self.drop:
                    raise InputError(
                        f"{name!r} cannot be both {role} and dropped: leave it out of one of them "
                        f"({format_option('drop', name)})"
                    )
        with faults.collect():
            check_choice("task", self.task, get_args(Task))
        if isinstance(self.embedding, str) and not is_file_name(self.embedding):
            with faults.collect():
                _check_embedding_name(self.embedding)
        if self.separator is not None:
            with faults.collect():
                stated_separator(self.separator)
        if self.encoding is not None:
            with faults.collect():
                check_encoding(self.encoding)
        faults.raise_all()


def _as_name(option: str, value: Any) -> Any:
    """Return a name as text; the columns of frames may be called by integers."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise InputError(f"{option} must be a name, as text. Got {value!r}")
    return str(value) if isinstance(value, int) else value


def _check_embedding_name(name: str) -> None:
    known = dict.fromkeys(("auto", *text.EMBEDDINGS, *images.EMBEDDINGS, "FILE.npy"))
    kind, kinds = name.partition(":")[0], {each.partition(":")[0] for each in known}
    if kind not in kinds:
        raise InputError(f"embedding must be one of {', '.join(known)}. Got {name!r}{suggest_name(kind, kinds)}")


def option_names() -> list[str]:
    """Return the names of the options."""
    return [option.name for option in fields(ReadOptions)]
