"""What a file holds by its first bytes, where its name says something else."""

from pathlib import Path

from hardsight.errors import InputError
from hardsight.io.compression import SUFFIXES as COMPRESSED

_ZIPPED = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".npz", ".zip")
# First bytes, what they are of, and the suffixes of such files; the first one is the usual.
_SIGNATURES: tuple[tuple[bytes, str, tuple[str, ...]], ...] = (
    (b"PK\x03\x04", "a zip archive, as workbooks are", _ZIPPED),
    (b"\xd0\xcf\x11\xe0", "an old workbook", (".xls", ".xlsx", ".xlsm", ".xlsb", ".ods")),
    (b"PAR1", "a parquet file", (".parquet", ".pq")),
    (b"ARROW1", "an Arrow file", (".arrow", ".arrows", ".feather", ".ipc")),
    (b"\x93NUMPY", "an array of numpy", (".npy",)),
    (b"\x1f\x8b\x08", "data compressed by gzip", (".gz",)),
    (b"BZh", "data compressed by bzip2", (".bz2",)),
    (b"\xfd7zXZ\x00", "data compressed by xz", (".xz",)),
    (b"\x28\xb5\x2f\xfd", "data compressed by zstd", (".zst",)),
)
_NOT_TEXT = {suffix for _, _, suffixes in _SIGNATURES for suffix in suffixes}
_WEB_PAGE = (b"<!doctype html", b"<html", b"<table")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HEAD = 4096


def check_content(place: Path, text_suffixes: tuple[str, ...]) -> None:
    """Check that a file does not begin as one of another type than its name says.

    Args:
        text_suffixes: suffixes of files that hold text.

    Raises:
        InputError: it does; says what it holds and what to do.
    """
    suffix = place.suffix.lower()
    if suffix not in _NOT_TEXT and suffix not in text_suffixes:
        return
    with place.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_LFS_POINTER):
        raise InputError(f"{place} is a pointer of Git LFS and not the data: fetch the data, git lfs pull")
    if head.lstrip().lower().startswith(_WEB_PAGE):
        raise InputError(
            f"{place} is a web page: download the file itself, or read a table in the page with pandas.read_html"
        )
    if _is_text(head):
        if suffix in _NOT_TEXT and (b"\n" in head or b"\r" in head):
            raise InputError(f"{place} holds text, though its name ends in {suffix}: {_advise(place, head)}")
        return
    for signature, kind, suffixes in _SIGNATURES:
        if head.startswith(signature) and suffix not in suffixes:
            added = f"add {suffixes[0]} to its name" if "compressed" in kind else f"rename it, such as to {suffixes[0]}"
            raise InputError(f"{place} holds {kind}, though its name ends in {suffix}: {added}")


def _is_text(head: bytes) -> bool:
    try:
        # A letter may be cut at the end of the part that was read.
        text = head.decode("utf-8", "strict" if len(head) < _HEAD else "ignore")
    except UnicodeDecodeError:
        return False
    return len(text.encode()) > len(head) - 4 and "\0" not in text


def _advise(place: Path, head: bytes) -> str:
    if head.startswith(b"<?xml"):
        return "save it as .xlsx or .csv"
    if place.suffix.lower() in COMPRESSED and len(place.suffixes) > 1:
        return f"rename it to {place.stem}"
    return "rename it to .tsv" if head.split(b"\n")[0].count(b"\t") else "rename it to .csv"
