"""Peak memory and CPU time of reading a csv of 1 GB: ``python benchmarks/large_csv.py [--gigabytes 1]``.

The table has 20 columns: ids, ten columns of fractions, five of integers, three of 400 categories, and the label. It is
written to the temporary folder, read once by ``hs.read`` in a process of its own, and removed.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

_ROWS = 100_000
_READ = """
import resource, sys, time
import hardsight
samples = hardsight.read(sys.argv[1], label="y", id="id")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
print(f"{len(samples):,} rows: {time.process_time():.0f} s of CPU, peak {peak:.2f} GB")
"""


def write_table(place: Path, size: int) -> None:
    """Write a csv of at least so many bytes."""
    rng = np.random.default_rng(0)
    cities = np.array([f"city {number}" for number in range(400)])
    with pa.OSFile(str(place), "wb") as file:
        start = 0
        while file.tell() < size:
            columns = {"id": [f"k{number}" for number in range(start, start + _ROWS)]}
            columns |= {f"x{number}": rng.normal(size=_ROWS).round(6) for number in range(10)}
            columns |= {f"n{number}": rng.integers(0, 10**6, _ROWS) for number in range(5)}
            columns |= {f"c{number}": cities[rng.integers(0, len(cities), _ROWS)] for number in range(3)}
            columns["y"] = np.array(["no", "yes"])[rng.integers(0, 2, _ROWS)]
            arrow_csv.write_csv(pa.table(columns), file, arrow_csv.WriteOptions(include_header=start == 0))
            start += _ROWS


def main() -> None:
    """Write the table, read it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    gigabytes = parser.parse_args().gigabytes
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "table.csv")
        write_table(place, int(gigabytes * 1e9))
        print(f"{place.stat().st_size / 1e9:.2f} GB", flush=True)
        subprocess.run([sys.executable, "-c", _READ, str(place)], check=True)


if __name__ == "__main__":
    main()
