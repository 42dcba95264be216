"""Where the classes of a folder are: in its subfolders, or in those of its splits."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from hardsight.data.image_decoding import SUFFIXES
from hardsight.errors import InputError
from hardsight.validation import format_option, join_names

# Words that name a split.
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout", "heldout"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), "validation"),
}
# Words that may stand beside them.
_EXTRAS = {"set", "data", "image", "images", "img", "imgs", "split", "part", "sample", "samples", "file", "files"}
_WORD = re.compile("|".join(sorted({*_SPLITS, *_EXTRAS}, key=len, reverse=True)))

# Files that are samples to people, but are not read here. Files of other types (tables, notes) may stand beside samples.
_UNREAD_IMAGES = frozenset(
    [
        ".heic",
        ".heif",
        ".avif",
        ".tga",
        ".jp2",
        ".j2k",
        ".jpx",
        ".jxl",
        ".jxr",
        ".svg",
        ".psd",
        ".ico",
        ".pcx",
        ".eps",
        ".exr",
        ".hdr",
        ".dcm",
        ".nii",
        ".dds",
        ".raw",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".dng",
        ".orf",
        ".rw2",
        ".mp4",
        ".mov",
        ".avi",
        ".webm",
        ".pdf",
        ".npy",
    ]
)
_UNREAD_TEXTS = frozenset(
    [".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx", ".odt", ".rtf", ".tex", ".eml", ".msg", ".text", ""]
)
_MAX_NAMED = 3
# Part of the name of a split, which tells it if all folders beside it hold the same folders.
_SPLIT_PART = re.compile(r"train|test|valid|eval|(?<![a-z])val(?![a-z])|(fold|split|part|batch|set)[\W_]*\d", re.IGNORECASE)


class Layout(NamedTuple):
    """The files of all classes.

    Attributes:
        files: paths in the folder.
        labels: their classes.
        depth: how many folders stand above the class folders.
    """

    files: list[Path]
    labels: list[str]
    depth: int


def find_classes(folder: Path, files: Sequence[Path], splits: Sequence[str] = ()) -> Layout:
    """Find the class folders.

    Args:
        folder: for messages.
        files: paths in the folder, of all files that can be read; at least one.
        splits: the splits to read.

    Raises:
        InputError: fewer than two classes, or splits where ``splits`` is empty or names one that is not there.
    """
    in_folders = [file for file in files if len(file.parts) > 1]
    if not in_folders:
        raise InputError(
            f"{folder} holds {len(files)} files but no subfolder with any: put each class into its own subfolder"
        )
    depth = _common_depth(in_folders)
    place = folder.joinpath(*in_folders[0].parts[:depth])
    names = sorted({file.parts[depth] for file in in_folders})
    named_splits = names if _hold_same(in_folders, depth) else [name for name in names if split_kind(name)]
    if splits:
        in_folders = _select_splits(place, in_folders, depth, named_splits, splits)
        depth += 1
    elif named_splits and _are_splits(names, named_splits, in_folders, depth):
        if all(len(file.parts) <= depth + 2 for file in in_folders):
            raise InputError(
                f"{place} holds splits ({join_names(named_splits)}) without any class folders: put each class into a "
                "subfolder of its split"
            )
        example = next((name for name in named_splits if "train" in name.casefold()), named_splits[0])
        raise InputError(
            f"{place} holds splits ({join_names(named_splits)}), not classes: choose one or more (split={example!r}, "
            f"{format_option('split', example)})"
        )
    elif depth:
        raise InputError(
            f"{folder} holds one class ({in_folders[0].parts[0]!r}): at least two subfolders with files are needed. If "
            f"{join_names(names)} are the classes, pass {place}"
        )
    in_classes = [file for file in in_folders if len(file.parts) > depth + 1]
    labels = [file.parts[depth] for file in in_classes]
    if len(set(labels)) < 2:
        where = f"split {', '.join(splits)} of {place}" if splits else str(folder)
        holds = f"one class ({labels[0]!r})" if labels else "no class"
        raise InputError(f"{where} holds {holds}: at least two subfolders with files are needed")
    return Layout(in_classes, labels, depth)


def _common_depth(files: Sequence[Path]) -> int:
    """Return how many folders all files share that are not splits and hold further folders."""
    parts = [file.parts for file in files]
    depth = 0
    while (
        len({part[depth] for part in parts}) == 1
        and all(len(part) > depth + 2 for part in parts)
        and not split_kind(parts[0][depth])
    ):
        depth += 1
    return depth


def split_kind(name: str) -> str | None:
    """Return which split a folder's name stands for, None if it is the name of something else.

    >>> [split_kind(name) for name in ("Training Images", "val2017", "hold-out", "images", "trains", "invalid")]
    ['train', 'validation', 'test', None, None, None]
    """
    letters = re.sub(r"[\W\d_]", "", name.casefold())
    words = _WORD.findall(letters)
    kinds = {_SPLITS[word] for word in words if word in _SPLITS}
    return kinds.pop() if len(kinds) == 1 and "".join(words) == letters else None


def _are_splits(names: list[str], named_splits: list[str], files: Sequence[Path], depth: int) -> bool:
    """Return whether folders are splits: all are named so, or two kinds of split hold a folder of the same name."""
    if len(named_splits) == len(names):
        return True
    kinds: dict[str, set[str | None]] = {}
    for file in files:
        if len(file.parts) > depth + 2:
            kinds.setdefault(file.parts[depth + 1], set()).add(split_kind(file.parts[depth]))
    return any(len(same - {None}) > 1 for same in kinds.values())


def _hold_same(files: Sequence[Path], depth: int) -> bool:
    """Return whether all folders hold the same folders and no files, and one has a name like that of a split."""
    inner: dict[str, set[str | None]] = {}
    for file in files:
        in_folder = len(file.parts) > depth + 2
        inner.setdefault(file.parts[depth], set()).add(file.parts[depth + 1] if in_folder else None)
    first, *others = inner.values()
    are_same = bool(others) and len(first) > 1 and None not in first and all(names == first for names in others)
    return are_same and any(_SPLIT_PART.search(name) for name in inner)


def describe_empty(folder: Path, layout: Layout, files: Collection[Path]) -> list[str]:
    """Say which folders beside those of the classes hold no file.

    Args:
        folder: with the classes.
        files: all files of the folder.
    """
    roots = {file.parts[: layout.depth] for file in layout.files}
    filled = {file.parts[: layout.depth + 1] for file in files}
    empty = sorted(
        place.name
        for root in roots
        for place in folder.joinpath(*root).iterdir()
        if place.is_dir() and not place.name.startswith((".", "__")) and (*root, place.name) not in filled
    )
    return [f"Folders without files are no classes: {join_names(empty)}."] if empty else []


def _select_splits(
    place: Path, files: Sequence[Path], depth: int, named_splits: list[str], splits: Sequence[str]
) -> list[Path]:
    """Return the files of the splits, which are named as their folders are, or by another usual name."""
    selected = set()
    for split in splits:
        kind = split_kind(split)
        folders = {file.parts[depth] for file in files}
        matches = [split] if split in folders else [name for name in named_splits if kind and split_kind(name) == kind]
        if len(matches) != 1:
            problem = f"is any of {join_names(matches)}" if matches else "is not there"
            choice = f"choose from {join_names(named_splits)}" if named_splits else "leave it out, there are no splits"
            raise InputError(f"split {split!r} of {place} {problem}: {choice}")
        selected.add(matches[0])
    return [file for file in files if file.parts[depth] in selected]


def refuse_unread(folder: Path, files: Sequence[Path]) -> NoReturn:
    """Refuse a folder without any file that can be read.

    Raises:
        InputError: always; it names the types that the folder holds.
    """
    others = f"; it holds {_count_suffixes(files)}" if files else ""
    raise InputError(f"{folder} holds no images ({', '.join(sorted(SUFFIXES))}) and no .txt files{others}: convert them")


def describe_nested(layout: Layout) -> list[str]:
    """Say that folders inside the class folders are part of their class."""
    start, end = layout.depth, layout.depth + 2
    nested = sorted({file.parts[start:end] for file in layout.files if len(file.parts) > end})
    if not nested:
        return []
    if all(split_kind(inner) for _, inner in nested):
        names = join_names(sorted({inner for _, inner in nested}))
        return [f"The class folders hold splits ({names}): the files of all of them were read."]
    notice = f"Folders inside a class folder belong to that class: {join_first([repr('/'.join(pair)) for pair in nested])}"
    inner = [name for _, name in nested]
    if len(set(inner)) < len(inner):
        example = nested[0][0]
        choice = f"split={example!r}, {format_option('split', example)}"
        notice += f". If the inner folders are the classes, choose which of the outer folders to read ({choice})"
    return [f"{notice}."]


def describe_unread(layout: Layout, files: Collection[Path], *, images: bool, skip: bool) -> list[str]:
    """Say which files are ignored, by class and type.

    Args:
        files: all files of the folder.
        images: whether images are read, otherwise texts.
        skip: whether a class is left out if none of its files can be read.

    Raises:
        InputError: beside the classes is a folder with nothing but samples of types that are not read.
    """
    roots = {file.parts[: layout.depth] for file in layout.files}
    others = [file for file in set(files) - set(layout.files) if file.parts[: layout.depth] in roots]
    in_classes: dict[str, list[Path]] = {}
    for file in sorted(others):
        if len(file.parts) > layout.depth + 1:
            in_classes.setdefault(file.parts[layout.depth], []).append(file)
    unread_types = _UNREAD_IMAGES if images else _UNREAD_TEXTS
    lost = {
        name: unread
        for name, unread in in_classes.items()
        if name not in layout.labels and any(file.suffix.lower() in unread_types for file in unread)
    }
    if lost and not skip:
        classes = join_first([f"{name!r} ({_count_suffixes(unread)})" for name, unread in lost.items()])
        to = ".png or .jpg" if images else ".txt"
        raise InputError(
            f"no file of class {classes} can be read: convert them to {to}, take the folder out, or leave it out "
            "(skip_broken=True, --skip-broken)"
        )
    if not others:
        return []
    named = [f"{_count_suffixes(unread)} in {name!r}" + _no_class(name, layout) for name, unread in in_classes.items()]
    outside = len(others) - sum(map(len, in_classes.values()))
    if outside:
        named.append(f"{outside} in no class's folder")
    noun = "1 file was" if len(others) == 1 else f"{len(others)} files were"
    return [f"{noun} ignored: {join_first(named, '; ')}."]


def _no_class(name: str, layout: Layout) -> str:
    return "" if name in layout.labels else ", which is then no class"


def _count_suffixes(files: Sequence[Path]) -> str:
    counts = Counter(file.suffix.lower() or "without a suffix" for file in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())


def join_first(texts: Sequence[str], separator: str = ", ") -> str:
    """Join the first texts, and say how many more there are.

    >>> join_first(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(texts) - _MAX_NAMED
    return separator.join(texts[:_MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
