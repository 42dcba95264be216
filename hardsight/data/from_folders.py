"""Folders with one subfolder a class: images, or text files."""

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

_DEEPEST = 50


def read_folder(folder: Path, *, label: str | None, task: str, embedding: Any) -> Samples:
    """Samples from a folder: the subfolder's name is the class, the file's path in the folder the id.

    Raises:
        InputError: no usable file, fewer than two classes, or a file that cannot be read; it names the file.
    """
    found = _files(folder)
    pictures = [file for file in found if file.suffix.lower() in images.SUFFIXES]
    used = pictures or [file for file in found if file.suffix.lower() == ".txt"]
    notices: list[str] = []
    classed = [file for file in used if len(file.parts) > 1]
    if not classed:
        if used:
            raise InputError(
                f"{folder} holds {len(used)} files but no subfolder with any: put each class into its own subfolder"
            )
        raise InputError(f"{folder} holds no images ({', '.join(sorted(images.SUFFIXES))}) and no .txt files")
    classes = sorted({file.parts[0] for file in classed})
    if all(name.lower() in _SPLITS for name in classes) and all(len(file.parts) > 2 for file in classed):
        raise InputError(
            f"{folder} holds splits ({join_names(classes)}), not classes: give one, as {folder / classes[0]}"
        )
    if len(classes) < 2:
        raise InputError(f"{folder} holds one class ({classes[0]!r}): at least two subfolders with files are needed")
    ignored = len(found) - len(classed)
    if ignored:
        notices.append(f"{ignored} files were ignored: not of the kind read here, or in no class's subfolder.")
    ids = np.array([file.as_posix() for file in classed])
    y = np.array([file.parts[0] for file in classed])
    features: Any
    if pictures:
        features, said = images.decode([folder / file for file in classed], [str(folder / file) for file in classed])
        notices.extend(said)
    else:
        features = [_text(folder / file) for file in classed]
    if task == "regression":
        raise InputError(f"{folder} holds classes, one a subfolder: regression needs a table with a column of numbers")
    samples = Samples.of(features, y, ids=ids, task="classification", label=label or "class", embedding=embedding)
    return replace(samples, notices=(*notices, *samples.notices))


def _files(folder: Path) -> list[Path]:
    """All files below, as paths in the folder, sorted; hidden ones and what is in hidden folders left out."""
    found: list[Path] = []
    top = folder.resolve()
    for place, inside, files in os.walk(folder, onerror=_stop, followlinks=True):
        above = _above(folder, Path(place))
        if len(above) > _DEEPEST:
            raise InputError(f"{folder} has folders nested more than {_DEEPEST} deep: lay the files into fewer")
        # A link to a folder that leads here would be followed for ever.
        inside[:] = [
            name
            for name in inside
            if not name.startswith(".") and name != "__MACOSX" and not _leads(Path(place, name).resolve(), above)
        ]
        files = [name for name in files if not name.startswith(".")]
        for name in (*inside, *files):
            _inside(Path(place, name), top)
        found.extend(Path(place, name).relative_to(folder) for name in files)
    return sorted(found, key=lambda file: file.parts)


def _above(folder: Path, place: Path) -> list[Path]:
    """Where the folders on the way from ``folder`` to ``place`` really lie, links on the way or not."""
    parts = place.relative_to(folder).parts
    return [folder.joinpath(*parts[:depth]).resolve() for depth in range(len(parts) + 1)]


def _leads(target: Path, above: list[Path]) -> bool:
    return any(each.is_relative_to(target) for each in above)


def _inside(place: Path, top: Path) -> None:
    """Refuse what is not the folder's own: a folder that came with a link could have any file of this machine read."""
    if place.is_symlink() and not limits.follow_links() and not place.resolve().is_relative_to(top):
        raise InputError(
            f"{place} is a link that leads out of the folder: copy what it leads to, or, if you trust the folder, set "
            f"{limits.FOLLOW_LINKS}=1"
        )
    try:
        place.name.encode()
    except UnicodeEncodeError:
        raise InputError(f"the name of {str(place)!r} is not UTF-8: rename it") from None


def _stop(fault: OSError) -> None:
    raise InputError(f"folder {fault.filename} cannot be read ({fault.strerror}): mend its permissions") from None


def _text(file: Path) -> str:
    try:
        limits.check_regular_file(file)
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8: save it as UTF-8 or take it out of the folder") from None
    except OSError as fault:
        raise InputError(f"{file} cannot be read ({fault.strerror or fault}): mend the file or take it out") from None
