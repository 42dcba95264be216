"""The environment in words, to be pasted into a bug report."""

import sys
from pathlib import Path
from typing import Any


def told(found: dict[str, Any]) -> str:
    """What :func:`hardsight.cli.doctor.examine` found, a line a field."""
    processor, threads, text = found["processor"], found["threads"], found["text"]
    python, processes = found["python"], found["processes"]
    fields = {
        "hardsight": found["hardsight"],
        "Python": f"{python['version']}, {python['implementation']}, {python['environment']} environment",
        "platform": f"{found['platform']['system']}, {found['platform']['machine']}",
        "cores": f"{processor['cores']}, usable {processor['usable']}",
        "free memory": _size(found["memory"]["free"]),
        "threads": _threads(threads),
        "processes": f"{processes['start']} (possible: {', '.join(processes['possible'])})",
        "text": f"{text['encoding']}, names of files {text['file_names']}",
        "accelerators": _accelerators(found["accelerators"]),
        **{f"{name} folder": _folder(folder) for name, folder in found["folders"].items()},
    }
    sections = [
        _aligned(fields),
        "libraries\n" + _aligned({name: _library(each) for name, each in found["libraries"].items()}, "  "),
        "extras\n" + _aligned({name: _extra(each) for name, each in found["extras"].items()}, "  "),
        "\n".join(f"FAULT: {fault}." for fault in found["faults"]) or "Nothing is in the way.",
    ]
    return "\n\n".join(sections)


def without_folders(text: str) -> str:
    """The first line of a message, with the names of files but not of the folders that they lie in.

    >>> without_folders("OSError: /home/ada/env/lib/libgomp.so.1: cannot open")
    'OSError: …/libgomp.so.1: cannot open'
    """
    line = next(iter(text.strip().splitlines()), "")
    for folder in (sys.prefix, sys.base_prefix, str(Path.home())):
        line = line.replace(folder, "/…")
    return " ".join(_last(word) for word in line.split(" "))


def _last(word: str) -> str:
    name = word.replace("\\", "/").rpartition("/")[2]
    return word if name == word else f"…/{name}"


def _aligned(fields: dict[str, str], indent: str = "") -> str:
    width = max(map(len, fields), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in fields.items())


def _threads(threads: dict[str, Any]) -> str:
    given = [f"{name}={value}" for name, value in threads["environment"].items() if value is not None]
    pools = [f"{pool['library']} {pool['version'] or ''}".strip() + f" {pool['threads']}" for pool in threads["pools"]]
    return "; ".join([f"torch {threads['torch']}", *pools, ", ".join(given) or "none set in the environment"])


def _accelerators(found: dict[str, Any]) -> str:
    cards = [f"{each['name']} ({_size(each['memory'])})" for each in found["found"]]
    return f"{', '.join(cards) or 'none'}; torch is built for {found['torch_built_for'] or 'nothing known'}"


def _folder(folder: dict[str, Any]) -> str:
    state = "writable" if folder["writable"] else f"not writable ({folder['fault']})"
    return f"{state}, {folder['file_system'] or 'unknown file system'}, {_size(folder['free'])} free"


def _library(library: dict[str, Any]) -> str:
    return f"{library['version'] or '–':<12} {library['needed']:<10} {library['state']}"


def _extra(extra: dict[str, Any]) -> str:
    state = f"lacks {', '.join(extra['lacking'])}" if extra["lacking"] else "there"
    return f"{extra['for']}: {state}"


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
