"""Opens libraries one after another and prints what each said, a JSON object a line.

It runs in a process of its own: a library that does not fit the machine may end the process that opens it.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any

from hardsight.cli.doctor.words import without_folders


def opened(module: str) -> dict[str, Any]:
    """Whether a module opens, and if not, why."""
    try:
        import_module(module)
    except Exception as fault:  # noqa: BLE001 - whatever a library raises is what is to be told
        return {"module": module, "fault": without_folders(f"{type(fault).__name__}: {fault}")}
    return {"module": module, "fault": None}


def pools() -> list[dict[str, Any]]:
    """The libraries that bring threads of their own, and how many each would use."""
    from threadpoolctl import threadpool_info

    return [
        {
            "library": pool["internal_api"],
            "version": pool.get("version"),
            "threads": pool["num_threads"],
            "layer": pool.get("threading_layer"),
        }
        for pool in threadpool_info()
    ]


def torch_says() -> dict[str, Any]:
    """Threads and accelerators, as torch sees them."""
    import torch

    devices = []
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(i)
        devices.append({"name": card.name, "memory": card.total_memory, "capability": f"{card.major}.{card.minor}"})
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "memory": None, "capability": None})
    built = {"cuda": torch.version.cuda, "hip": torch.version.hip}
    return {
        "threads": torch.get_num_threads(),
        "threads_between_operations": torch.get_num_interop_threads(),
        "built_for": next((f"{name} {version}" for name, version in built.items() if version), "cpu"),
        "accelerators": devices,
    }


def main(modules: list[str]) -> None:
    """Print a line before and after each module is opened, and what torch and the thread pools say at the end."""
    # Whatever a library prints while it opens must not stand among the lines.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    works = set()
    for module in modules:
        print(json.dumps({"opening": module}), file=out, flush=True)
        said = opened(module)
        print(json.dumps(said), file=out, flush=True)
        if said["fault"] is None:
            works.add(module)
    for name, needs, ask in (("torch", "torch", torch_says), ("pools", "threadpoolctl", pools)):
        if needs in works:
            print(json.dumps({name: ask()}), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
