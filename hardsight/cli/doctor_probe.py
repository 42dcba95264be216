"""Import libraries one after another and print the outcome of each, one JSON object per line.

This runs in a process of its own: a library that does not fit the machine may end the process that imports it. It imports
nothing itself but what it is asked for.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def strip_folders(text: str) -> str:
    """Return the first line of a message, with names of files but without the folders they are in.

    >>> strip_folders("OSError: /home/ada/env/lib/libgomp.so.1: cannot open")
    'OSError: …/libgomp.so.1: cannot open'
    """
    line = next(iter(text.strip().splitlines()), "")
    for folder in (sys.prefix, sys.base_prefix, str(Path.home())):
        line = line.replace(folder, "/…")
    names = ((word, word.replace("\\", "/").rpartition("/")[2]) for word in line.split(" "))
    return " ".join(word if word == name else f"…/{name}" for word, name in names)


def try_import(module: str) -> str | None:
    """Import a module and return why that failed; None if it did not fail."""
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is the finding
        return strip_folders(f"{type(error).__name__}: {error}")
    return None


def read_thread_pools() -> list[dict[str, Any]]:
    """Return the libraries that start threads of their own, and how many each would use."""
    from threadpoolctl import threadpool_info

    names = {"library": "internal_api", "version": "version", "threads": "num_threads", "layer": "threading_layer"}
    return [{name: pool.get(key) for name, key in names.items()} for pool in threadpool_info()]


def read_torch() -> dict[str, Any]:
    """Return threads and accelerators, as torch sees them."""
    import torch

    cards = map(torch.cuda.get_device_properties, range(torch.cuda.device_count() if torch.cuda.is_available() else 0))
    devices = [{"name": c.name, "memory": c.total_memory, "capability": f"{c.major}.{c.minor}"} for c in cards]
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "memory": None, "capability": None})
    builds = {"cuda": torch.version.cuda, "hip": torch.version.hip}
    return {
        "threads": torch.get_num_threads(),
        "threads_between_operations": torch.get_num_interop_threads(),
        "built_for": next((f"{name} {version}" for name, version in builds.items() if version), "cpu"),
        "accelerators": devices,
    }


def main(modules: list[str]) -> None:
    """Print a line before and after each import, and last what torch and the thread pools report."""
    # What a library prints while it is imported must not mix with these lines.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    works = set()
    for module in modules:
        print(json.dumps({"importing": module}), file=out, flush=True)
        failure = try_import(module)
        print(json.dumps({"imported": module, "failure": failure}), file=out, flush=True)
        if failure is None:
            works.add(module)
    for name, library, read in (("torch", "torch", read_torch), ("pools", "threadpoolctl", read_thread_pools)):
        if library in works:
            print(json.dumps({name: read()}), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
