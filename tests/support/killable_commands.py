"""A warm process that runs commands in children and kills them there: an order a line of JSON in, what came of it out.

An order has ``command``, ``folder``, and one of ``after`` (seconds until SIGKILL) and ``at`` (the number of an operation on
a file in ``folder``, before which the child kills itself, or is killed ``late`` seconds later); neither: it is left alone.
"""

import json
import os
import signal
import sys
import time

from hardsight.cli import main


def order(command, folder, after=None, at=None, late=0):
    """Carry out; returns the exit status (-9: killed), the seconds, and how many operations there were, if it ended."""
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        _run(command, folder, at, late, writing)
    os.close(writing)
    count = b""
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    elif late:
        count = os.read(reading, 1)
        time.sleep(late)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seconds = time.monotonic() - start
    with os.fdopen(reading, "rb") as pipe:
        count = (count + pipe.read()).removeprefix(b"!")
    return {"status": status, "seconds": seconds, "operations": int(count) if count else None}


def _run(command, folder, at, late, writing):
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    count = 0

    def watch(event, arguments):
        nonlocal count
        if event in ("open", "os.rename", "os.remove") and str(arguments[0]).startswith(folder):
            count += 1
            if count == at and late:
                os.write(writing, b"!")
            elif count == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    status = 1
    try:
        main(command, prog_name="hardsight")
    except SystemExit as end:
        status = end.code or 0
    finally:
        os.write(writing, str(count).encode())
        os._exit(status)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.pop("warm", False):
            # Here, not in a child: what it imports and caches is at hand in all of them.
            main(asked["command"], standalone_mode=False)
            answer = {}
        else:
            answer = order(**asked)
        print(json.dumps(answer), file=answers, flush=True)
