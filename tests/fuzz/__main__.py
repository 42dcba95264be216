"""Fuzz some targets, or all, and print a table: `python -m fuzz`, with this folder's parent on the path."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from fuzz.targets import TARGETS
from fuzz.workers import Tally, fuzz


def main() -> int:
    """Exit status 1 where anything but results and refusals came out."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--inputs", type=int, default=10_000, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=Path, default=Path("fuzz-faults"), help="folder for inputs that made it fail")
    parser.add_argument("--page", type=Path, help="file to write the table to, as markdown")
    given = parser.parse_args()
    strange = [name for name in given.targets if name not in TARGETS]
    if strange:
        parser.error(f"no target is called {strange[0]!r}: choose among {', '.join(TARGETS)}")
    # What a bomb may unfold to here, so that ten thousand of them take minutes.
    os.environ.setdefault("HARDSIGHT_MAX_GIB", "0.25")
    page = head(given.inputs, given.seed)
    print(page)
    failed = 0
    for name in given.targets or TARGETS:
        tally = fuzz(TARGETS[name], given.inputs, given.seed)
        print(row(tally), flush=True)
        page += f"\n{row(tally)}"
        failed += len(tally.kinds)
        for number, (what, count) in enumerate(tally.kinds.most_common()):
            print(f"  {count} × {what}", file=sys.stderr, flush=True)
            given.faults.mkdir(exist_ok=True)
            (given.faults / f"{name.replace(' ', '-')}-{number}").write_bytes(tally.faults[what][1])
    if given.page:
        given.page.write_text(f"{page}\n", encoding="utf-8")
    return 1 if failed else 0


def head(inputs: int, seed: int) -> str:
    """The page down to the table's rows."""
    return (
        "# Hostile input\n\n"
        f"`make fuzz` ({inputs:,} inputs per target, seed {seed}), {datetime.now(UTC):%-d %B %Y}. Every input ended in a "
        "result or in one line that says what is wrong, unless the last column counts others. Time is of the processor, and "
        "memory what the process grew by, for the one input that took most.\n\n"
        "| target | what enters | inputs | accepted | refused | worst time | peak memory | faults |\n"
        "|:--|:--|--:|--:|--:|--:|--:|--:|"
    )


def row(tally: Tally) -> str:
    """A row of the table."""
    faults = tally.inputs - tally.accepted - tally.refused
    return (
        f"| {tally.target} | {TARGETS[tally.target].what} | {tally.inputs:,} | {tally.accepted:,} | {tally.refused:,} | "
        f"{tally.seconds:.2f} s | {tally.mib:,.0f} MiB | {faults:,} |"
    )


if __name__ == "__main__":
    sys.exit(main())
