"""Reading of folders with one subfolder per class: images, or text files."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hardsight.data.encoder import Encoder
from hardsight.data.folder_layout import (
    Layout,
    describe_empty,
    describe_nested,
    describe_unread,
    find_classes,
    join_first,
    refuse_unread,
)
from hardsight.data.image_decoding import SUFFIXES, THUMBNAIL_SIDE, decode_readable_images
from hardsight.data.images import find_encoder
from hardsight.data.samples import Samples
from hardsight.errors import Faults, InputError
from hardsight.io import limits
from hardsight.validation import join_names

_MAX_DEPTH = 50


def read_folder(
    folder: Path,
    *,
    label: str | None,
    task: str,
    embedding: Any,
    merge_spellings: bool = False,
    split: Sequence[str] = (),
    skip_broken: bool = False,
) -> Samples:
    """Read samples from a folder: the subfolder's name is the class, the file's path in the folder the id.

    Args:
        folder: with one subfolder per class, or one subfolder per split with one subfolder per class in each.
        label: name of the label in results; by default "class".
        task: "auto" or "classification".
        merge_spellings: whether subfolders that differ only in case, blanks or the encoding of letters are one class.
        split: the splits to read, such as "train".
        skip_broken: leave out what cannot be read.

    Raises:
        InputError: no usable file, fewer than two classes, splits instead of classes, a class without any file of a known
            type, or files that cannot be read; the message names them.
    """
    if task == "regression":
        raise InputError(f"{folder} holds one class per subfolder: regression needs a table with a column of numbers")
    all_files = _list_files(folder)
    images = [file for file in all_files if file.suffix.lower() in SUFFIXES]
    files = images or [file for file in all_files if file.suffix.lower() == ".txt"]
    if not files:
        refuse_unread(folder, all_files)
    layout = find_classes(folder, files, split)
    notices = describe_unread(layout, all_files, images=bool(images), skip=skip_broken) + describe_nested(layout)
    notices += describe_empty(folder, layout, all_files)
    features: Any
    if images:
        paths = [folder / file for file in layout.files]
        decoded = decode_readable_images(
            paths,
            [file.as_posix() for file in layout.files],
            skip=skip_broken,
            encoder=find_encoder(embedding),
            max_side=None if isinstance(embedding, str | Encoder) else THUMBNAIL_SIDE,
        )
        features, unreadable, more = decoded.pixels, decoded.unreadable, decoded.notices
        embedding = embedding if decoded.vectors is None else decoded.vectors
    else:
        features, unreadable = _read_texts(folder, layout.files)
        more = []
    if unreadable:
        notices += _leave_out(folder, layout, unreadable, skip=skip_broken)
    readable = [at for at in range(len(layout.files)) if at not in unreadable]
    samples = Samples.of(
        features,
        np.array(layout.labels)[readable],
        ids=np.array([file.as_posix() for file in layout.files])[readable],
        task="classification",
        label=label or "class",
        embedding=embedding,
        merge_spellings=merge_spellings,
    )
    return replace(samples, notices=(*notices, *more, *samples.notices))


def _leave_out(folder: Path, layout: Layout, unreadable: dict[int, str], *, skip: bool) -> list[str]:
    """Return notices of the files that are left out, because they cannot be read.

    Args:
        unreadable: the causes, by position in the files of the layout.
        skip: whether they may be left out.

    Raises:
        InputError: they may not be left out, or no file can be read; the message names the files.
    """
    files = layout.files
    if not skip:
        faults = Faults()
        faults.messages += [
            f"{folder / files[at]} cannot be read ({cause}): fix the file or take it out of the folder; "
            "skip_broken=True (--skip-broken) leaves out such files"
            for at, cause in unreadable.items()
        ]
        faults.raise_all()
    named = join_first([f"{files[at].as_posix()!r} ({cause})" for at, cause in unreadable.items()])
    if len(unreadable) == len(files):
        raise InputError(f"none of {len(files)} files in {folder} can be read: {named}")
    noun = "1 file that cannot be read was" if len(unreadable) == 1 else f"{len(unreadable)} files that cannot be read were"
    lost = set(layout.labels) - {name for at, name in enumerate(layout.labels) if at not in unreadable}
    rest = f"; of class {join_names(sorted(lost))}, none is left" if lost else ""
    return [f"{noun} left out: {named}{rest}."]


def _list_files(folder: Path) -> list[Path]:
    """Return all files below, as sorted paths in the folder, without hidden files and folders."""
    paths: list[Path] = []
    root = folder.resolve()
    for place, subfolders, files in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        parents = _resolved_parents(folder, Path(place))
        if len(parents) > _MAX_DEPTH:
            raise InputError(f"{folder} has folders nested more than {_MAX_DEPTH} deep: flatten it")
        # A link to a folder above would be followed forever.
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and name != "__MACOSX" and not _is_above(Path(place, name).resolve(), parents)
        ]
        visible = [name for name in files if not name.startswith(".")]
        for name in (*subfolders, *visible):
            _check_entry(Path(place, name), root)
        paths.extend(Path(place, name).relative_to(folder) for name in visible)
    return sorted(paths, key=lambda file: file.parts)


def _resolved_parents(folder: Path, place: Path) -> list[Path]:
    """Return where the folders on the way from ``folder`` to ``place`` are, with links resolved."""
    parts = place.relative_to(folder).parts
    return [folder.joinpath(*parts[:depth]).resolve() for depth in range(len(parts) + 1)]


def _is_above(target: Path, parents: list[Path]) -> bool:
    return any(parent.is_relative_to(target) for parent in parents)


def _check_entry(place: Path, root: Path) -> None:
    """Refuse links out of the folder: a folder that came with a link could have any file of this machine read."""
    if place.is_symlink() and not limits.follow_links() and not place.resolve().is_relative_to(root):
        raise InputError(
            f"{place} is a link that leads out of the folder: copy what it leads to, or, if you trust the folder, set "
            f"{limits.FOLLOW_LINKS}=1"
        )
    try:
        place.name.encode()
    except UnicodeEncodeError:
        raise InputError(f"the name of {str(place)!r} is not UTF-8: rename it") from None


def _refuse_unreadable(error: OSError) -> None:
    raise InputError(f"folder {error.filename} cannot be read ({error.strerror}): fix its permissions") from None


def _read_texts(folder: Path, files: Sequence[Path]) -> tuple[list[str], dict[int, str]]:
    """Return the texts of the files that can be read, and why others cannot, by their position."""
    texts, unreadable = [], {}
    for at, file in enumerate(files):
        try:
            limits.check_regular_file(folder / file)
            texts.append((folder / file).read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            unreadable[at] = "not UTF-8"
        except OSError as error:
            unreadable[at] = error.strerror or str(error)
        except InputError as error:
            unreadable[at] = str(error)
    return texts, unreadable
