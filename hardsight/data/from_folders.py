"""Reading of folders with one subfolder per class: images, or text files."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hardsight.data import images
from hardsight.data.samples import Samples
from hardsight.errors import InputError
from hardsight.io import limits
from hardsight.validation import join_names

_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}

_MAX_DEPTH = 50


def read_folder(folder: Path, *, label: str | None, task: str, embedding: Any) -> Samples:
    """Read samples from a folder: the subfolder's name is the class, the file's path in the folder the id.

    Args:
        folder: with one subfolder per class.
        label: name of the label in results; by default "class".
        task: "auto" or "classification".

    Raises:
        InputError: no usable file, fewer than two classes, or a file that cannot be read, which the message names.
    """
    if task == "regression":
        raise InputError(f"{folder} holds one class per subfolder: regression needs a table with a column of numbers")
    all_files = _list_files(folder)
    image_files = [file for file in all_files if file.suffix.lower() in images.SUFFIXES]
    files = image_files or [file for file in all_files if file.suffix.lower() == ".txt"]
    in_classes = [file for file in files if len(file.parts) > 1]
    _check_classes(folder, files, in_classes)
    paths = [folder / file for file in in_classes]
    features: Any
    if image_files:
        features, notices = images.decode_images(paths, list(map(str, paths)))
    else:
        features, notices = list(map(_read_text, paths)), []
    ignored = len(all_files) - len(in_classes)
    if ignored:
        notices.insert(0, f"{ignored} files were ignored: of a type that is not read here, or not in a class's subfolder.")
    samples = Samples.of(
        features,
        np.array([file.parts[0] for file in in_classes]),
        ids=np.array([file.as_posix() for file in in_classes]),
        task="classification",
        label=label or "class",
        embedding=embedding,
    )
    return replace(samples, notices=(*notices, *samples.notices))


def _check_classes(folder: Path, files: list[Path], in_classes: list[Path]) -> None:
    """Refuse folders without two classes. ``files`` are all readable files, ``in_classes`` those in a subfolder."""
    if not files:
        raise InputError(f"{folder} holds no images ({', '.join(sorted(images.SUFFIXES))}) and no .txt files")
    if not in_classes:
        raise InputError(
            f"{folder} holds {len(files)} files but no subfolder with any: put each class into its own subfolder"
        )
    classes = sorted({file.parts[0] for file in in_classes})
    if all(name.lower() in _SPLITS for name in classes) and all(len(file.parts) > 2 for file in in_classes):
        raise InputError(
            f"{folder} holds splits ({join_names(classes)}), not classes: pass one, such as {folder / classes[0]}"
        )
    if len(classes) < 2:
        raise InputError(f"{folder} holds one class ({classes[0]!r}): at least two subfolders with files are needed")


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


def _read_text(file: Path) -> str:
    try:
        limits.check_regular_file(file)
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8: save it as UTF-8 or take it out of the folder") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}): fix the file or take it out") from None
