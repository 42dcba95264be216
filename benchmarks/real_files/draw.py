"""Draw 100 of the files in ``files.csv`` by seed 0 into ``drawn.csv``; run once, before any of them was measured."""

import random

from real_files.fetch import HERE


def main() -> None:
    """Draw the files."""
    header, *rows = (HERE / "files.csv").read_text().splitlines()
    drawn = sorted(random.Random(0).sample(rows, 100))
    (HERE / "drawn.csv").write_text("\n".join([header, *drawn]) + "\n")


if __name__ == "__main__":
    main()
