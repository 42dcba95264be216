"""A target, what came of an input to it, and the loop that mutates seeds and inputs that reached new lines."""

import io
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import hardsight
from hardsight.errors import HardsightError, MultipleInputError

Mutation = Callable[[Random, bytes], bytes]

ACCEPTED, REFUSED, SLOW = "accepted", "refused", "slow"
# Every input is small: what takes longer, or more memory, is out of proportion.
SECONDS, MIB = 5.0, 1024
LONGEST = 1 << 16
_TRACED = 4
_CORPUS = 400
# What is mutated further is short, so that many can be.
_SHORT = 1 << 14
_MESSAGE = 2100
# What a message names: a file, a value in quotes, or what stands where.
_NAMES = re.compile(
    r"['\"/\d]|\.[a-z]|\(|row|column|line|argument|command|label|ids|array|image|folder|sample|X |--\w|\bthe \w+"
)
_OURS = str(Path(hardsight.__file__).parent)


class Target(NamedTuple):
    """Where input enters.

    Attributes:
        name: of the target.
        what: what is entered, in a few words.
        seeds: sound inputs.
        mutations: that know how these inputs are built; those of bytes are used besides.
        enter: gives an input to the product, in an empty folder of its own; raises HardsightError where it is refused.
        plain: how often an input is mutated as bytes alone.
    """

    name: str
    what: str
    seeds: Callable[[], list[bytes]]
    mutations: tuple[Mutation, ...]
    enter: Callable[[bytes, Path], None]
    plain: float = 0.5


class InputResult(NamedTuple):
    """What came of an input: ``kind`` is accepted, refused, or what is at fault, in words."""

    kind: str
    seconds: float
    message: str = ""

    @property
    def fault(self) -> bool:
        """Whether the product failed."""
        return self.kind not in (ACCEPTED, REFUSED)


def outcome(target: Target, data: bytes, folder: Path) -> InputResult:
    """Enter an input, and judge how that ended; a slow one twice, since the first in a process imports modules."""
    result = _enter(target, data, folder)
    if result.kind != SLOW:
        return result
    emptied(folder)
    return _enter(target, data, folder)


def _enter(target: Target, data: bytes, folder: Path) -> InputResult:
    start = time.process_time()
    kind, message = ACCEPTED, ""
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            target.enter(data, folder)
    except HardsightError as fault:
        kind, message = REFUSED, str(fault)
        messages = fault.messages if isinstance(fault, MultipleInputError) else [message]
        if not all(map(_is_line, messages)):
            kind = "a message that is not one line that names something"
    except Exception as fault:  # noqa: BLE001
        kind, message = type(fault).__name__, f"{str(fault)[:300]} {_place(fault)}"
    seconds = time.process_time() - start
    if kind in (ACCEPTED, REFUSED) and seconds > SECONDS:
        return InputResult(SLOW, seconds, message)
    return InputResult(kind, seconds, message)


def _is_line(message: str) -> bool:
    return (
        len(message.splitlines()) == 1
        and message.isprintable()
        and len(message) <= _MESSAGE
        and bool(_NAMES.search(message))
    )


def _place(fault: BaseException) -> str:
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_OURS)]
    where = [*ours[-1:], *frames[-1:]]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in where)


def reached(work: Callable[[], InputResult]) -> tuple[InputResult, set[tuple[str, int]]]:
    """What came of it, and the lines of the product that it passed."""
    seen: set[tuple[str, int]] = set()

    def inside(frame, event, arg):
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return inside

    def call(frame, event, arg):
        return inside if frame.f_code.co_filename.startswith(_OURS) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        return work(), seen
    finally:
        sys.settrace(before)


def inputs(target: Target, seed: int, start: int, plain: Sequence[Mutation], corpus: list[bytes]) -> Iterator[bytes]:
    """Inputs from the one numbered ``start`` on: the seeds themselves first, then mutations of seeds and corpus."""
    seeds = target.seeds()
    number = start
    while True:
        if number < len(seeds):
            yield seeds[number]
        else:
            rng = Random(f"{seed} {target.name} {number}")
            yield mutated(rng, target, seeds, corpus, plain)
        number += 1


def mutated(
    rng: Random, target: Target, seeds: Sequence[bytes], corpus: Sequence[bytes], plain: Sequence[Mutation]
) -> bytes:
    """A seed, or an input that reached new lines, changed in one to four ways."""
    data = rng.choice(corpus if corpus and rng.random() < 0.5 else seeds)
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        own = target.mutations and rng.random() > target.plain
        change = rng.choice(target.mutations if own else plain)
        # An input that is damaged already may be none that this mutation can take apart.
        with suppress(Exception):
            data = change(rng, data)
        if rng.random() < 0.03:
            other = rng.choice(seeds)
            cut = rng.randrange(len(data) + 1)
            data = data[:cut] + other[rng.randrange(len(other) + 1) :]
    return data[:LONGEST]


def attempts(
    target: Target, seed: int, start: int, folder: Path, guided: bool
) -> Iterator[tuple[int, bytes, Callable[[], InputResult]]]:
    """Numbered inputs, each with what is to be called to enter it; those that reach new lines are mutated further."""
    from fuzz.mutations import PLAIN

    corpus: list[bytes] = []
    lines: set[tuple[str, int]] = set()
    for number, data in enumerate(inputs(target, seed, start, PLAIN, corpus), start):

        def work(data: bytes = data, number: int = number) -> InputResult:
            if not guided or number % _TRACED:
                return outcome(target, data, folder)
            found, passed = reached(lambda: outcome(target, data, folder))
            if not passed <= lines:
                lines.update(passed)
                if len(corpus) < _CORPUS and len(data) <= _SHORT:
                    corpus.append(data)
            return found

        yield number, data, work


def emptied(folder: Path) -> Path:
    """The folder with nothing in it."""
    for place, inside, files in os.walk(folder, topdown=False):
        for name in files:
            Path(place, name).unlink()
        for name in inside:
            inner = Path(place, name)
            inner.unlink() if inner.is_symlink() else inner.rmdir()
    return folder
