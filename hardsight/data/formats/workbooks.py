"""Workbooks of spreadsheets: .xlsx, .xls, .ods and .xlsb, one sheet at a time."""

import zipfile
from pathlib import Path

import pandas as pd

from hardsight.data.formats.header import find_header, unique_header_names
from hardsight.data.formats.table import CheckNames, Table
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError, first_line
from hardsight.io import limits
from hardsight.validation import join_names, suggest_name

# Titles above a header are looked for in so many rows.
_MAX_TITLES = 50
SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".xlsb")


def read(place: Path, options: ReadOptions, check_names: CheckNames) -> Table:
    """Read a sheet. Cells keep the types that they have in the workbook: the text "007" stays text.

    Raises:
        InputError: no package to read workbooks with, a file that cannot be read, or no such sheet.
    """
    try:
        import python_calamine  # noqa: F401 - pandas reads with it
    except ImportError:
        raise InputError(f"{place} needs a package: pip install 'hardsight[excel]', or save the sheet as csv") from None
    _check_size(place)
    try:
        with pd.ExcelFile(place, engine="calamine") as book:
            sheets = [str(name) for name in book.sheet_names]
            sheet, notices = _choose_sheet(place, sheets, options.sheet)
            top = _find_header(book, sheet, options)
            frame = pd.read_excel(book, sheet_name=sheet, header=None, dtype=object, keep_default_na=False, na_values=[""])
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable workbook ({first_line(error)}): save it again, or as csv") from None
    limits.check_column_count(place, len(frame.columns))
    names = [str(number + 1) for number in range(len(frame.columns))]
    if options.header:
        cells = frame.iloc[top].to_list() if len(frame) else []
        names = unique_header_names(["" if pd.isna(cell) else str(cell) for cell in cells], notices)
        frame = frame.iloc[top + 1 :]
    frame = frame.set_axis(names, axis=1)
    if top:
        notices.append(f"The header is in row {top + 1} of the sheet; everything above it was skipped.")
    frame = frame.dropna(how="all").reset_index(drop=True).infer_objects()
    check_names([str(name) for name in frame.columns], "")
    return Table(frame, notices)


def _find_header(book: pd.ExcelFile, sheet: str, options: ReadOptions) -> int:
    """Return the number of the row that holds the names of the columns: the first unless the named columns tell another."""
    if not options.header or not options.columns:
        return 0
    head = pd.read_excel(book, sheet_name=sheet, header=None, dtype=str, keep_default_na=False, nrows=_MAX_TITLES)
    return find_header(head.astype(str).to_numpy().tolist(), list(options.columns.values())) or 0


def _choose_sheet(place: Path, names: list[str], name: str | None) -> tuple[str, list[str]]:
    if not names:
        raise InputError(f"{place} has no sheet: pass a workbook with data")
    if name is None:
        others = join_names(names[1:])
        notice = f"Only the first sheet, {names[0]!r}, is read; the others are {others} (sheet, --sheet)."
        return names[0], [notice] if len(names) > 1 else []
    if name not in names:
        raise InputError(f"{place} has no sheet {name!r}{suggest_name(name, names)}: its sheets are {join_names(names)}")
    return name, []


def _check_size(place: Path) -> None:
    """Check what a zipped workbook declares that it unfolds to."""
    size = limits.check_regular_file(place)
    try:
        with zipfile.ZipFile(place) as archive:
            needed = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        # Old .xls files are no archives; the reader refuses what else is not.
        return
    limits.check_decoded_size(place, needed, size)
