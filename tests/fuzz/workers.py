"""Inputs in forked processes with little memory, watched: what hangs is ended, what dies is counted, and work goes on."""

import json
import mmap
import os
import resource
import select
import shutil
import signal
import struct
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.target import ACCEPTED, MIB, REFUSED, SECONDS, Target, attempts, emptied

# Far more than an input may take, in seconds of a clock that runs while other programs do.
_PATIENCE = 60.0
_STATE = struct.Struct("<qd")


@dataclass
class Tally:
    """What came of all inputs of a target; ``faults`` holds the input that was first of each kind."""

    target: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    mib: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def add(self, number: int, kind: str, message: str, data: bytes) -> None:
        """Count an input."""
        self.inputs += 1
        self.accepted += kind == ACCEPTED
        self.refused += kind == REFUSED
        if kind not in (ACCEPTED, REFUSED):
            name = f"{kind}: {message}"
            self.kinds[name] += 1
            self.faults.setdefault(name, (number, data))


def fuzz(target: Target, inputs: int, seed: int = 0, guided: bool = True) -> Tally:
    """Enter so many inputs."""
    tally = Tally(target.name)
    target.seeds()  # what is made once is made before the first fork
    shared = mmap.mmap(-1, _STATE.size)
    done = 0
    with tempfile.TemporaryDirectory() as scratch:
        while done < inputs:
            done = _stretch(target, seed, done, inputs, guided, tally, shared, Path(scratch))
    return tally


def _stretch(
    target: Target, seed: int, start: int, end: int, guided: bool, tally: Tally, shared: mmap.mmap, scratch: Path
) -> int:
    """Inputs until the process ends, by itself or otherwise; the number of the next input."""
    read_end, tells = os.pipe()
    _STATE.pack_into(shared, 0, start, time.monotonic())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read_end)
            _work(target, seed, start, end, guided, tells, shared, scratch)
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    os.close(tells)
    late = False
    with os.fdopen(read_end, "rb") as pipe:
        waiting = b""
        while True:
            ready, _, _ = select.select([pipe], [], [], 1.0)
            if ready:
                piece = os.read(pipe.fileno(), 1 << 16)
                if not piece:
                    break
                *lines, waiting = (waiting + piece).split(b"\n")
                for line in lines:
                    _heard(tally, json.loads(line))
            elif time.monotonic() - _STATE.unpack_from(shared)[1] > _PATIENCE and not late:
                late = True
                os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    number = _STATE.unpack_from(shared)[0]
    if status:
        kind = "hang" if late else f"died of signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "died"
        current = scratch / "current"
        tally.add(number, kind, "", current.read_bytes() if current.exists() else b"")
        return number + 1
    return end


def _work(
    target: Target, seed: int, start: int, end: int, guided: bool, tells: int, shared: mmap.mmap, scratch: Path
) -> None:
    folder = scratch / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    current = scratch / "current"
    os.chdir(folder)
    _limited()
    for number, data, work in attempts(target, seed, start, folder, guided):
        if number >= end:
            return
        _STATE.pack_into(shared, 0, number, time.monotonic())
        current.write_bytes(data)
        before = _mib("VmRSS", begin=True)
        found = work()
        grown = _mib("VmHWM") - before
        kind = found.kind if found.fault or grown < MIB else "takes much memory"
        slow = found.seconds > SECONDS
        line = {
            "number": number,
            "kind": kind,
            "message": found.message if found.fault or kind != found.kind else "",
            "seconds": found.seconds,
            "mib": grown,
            "data": data.hex() if found.fault or kind != found.kind or slow else "",
        }
        os.write(tells, json.dumps(line).encode() + b"\n")
        os.chdir(folder)
        emptied(folder)


def _heard(tally: Tally, line: dict) -> None:
    tally.add(line["number"], line["kind"], line["message"], bytes.fromhex(line["data"]))
    tally.seconds = max(tally.seconds, line["seconds"])
    tally.mib = max(tally.mib, line["mib"])


def _limited() -> None:
    """No more memory than what is there and some GiB; no core files, and no large files."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + (4 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def _mib(what: str, begin: bool = False) -> float:
    """What the kernel says of this process; the peak (VmHWM) is that since the last beginning."""
    if begin:
        Path("/proc/self/clear_refs").write_text("5")
    text = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{what}:"))) / 1024
