"""The environment for a bug report: no names of users, folders or machines, and of variables only numbers of threads."""

import json
import locale
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from hardsight import __version__
from hardsight.cli.doctor_probe import strip_folders
from hardsight.io.system import file_system, free_memory

# The extras of pyproject.toml, and what each is for.
EXTRAS = {
    "fast": "networks as machine code",
    "ray": "measuring on a Ray cluster (--backend ray)",
    "boosting": "learners lightgbm and xgboost; weights in their own loops",
    "huggingface": "hs.HuggingFace and WeightedTrainer",
    "adapters": "hs.HuggingFace(adapters='lora')",
    "lightning": "WeightingCallback",
    "skorch": "hs.skorch",
    "excel": "workbooks (.xlsx, .xls, .ods)",
    "serve": "hardsight serve",
    "sentence-embeddings": "--embedding sentence-transformers:NAME",
    "image-embeddings": "--embedding efficientnet-lite0",
    "timm": "--embedding timm:NAME",
    "open-clip": "--embedding open_clip:NAME",
    "umap": "a second map of the samples in the report and the review page",
}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
# Distributions whose module has another name, beyond "_" for "-".
_MODULES = {
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
    "open_clip_torch": "open_clip",
    "umap-learn": "umap",
}
# Other builds of a distribution, under a name of their own.
_BUILDS = {"xgboost": "xgboost-cpu"}
_TIMEOUT_S = 180
# A result of a million samples and its page need less.
_MIN_FREE_BYTES = 2**30


def examine(results: str | Path = "hardsight-results") -> dict[str, Any]:
    """Examine the environment and return plain JSON types; ``faults`` lists the problems, one sentence each.

    Args:
        results: the folder that results are to be written to. It need not exist, and is not created.
    """
    core, extras = _requirements()
    versions = {needed.name: _version(needed.name) for needed in core}
    probe = _probe([_module(name) for name, version in versions.items() if version is not None])
    libraries = {needed.name: _library(needed, versions[needed.name], probe["faults"]) for needed in core}
    folders = {"results": _folder(Path(results)), "temporary": _folder(Path(tempfile.gettempdir()))}
    torch = probe.get("torch") or {}
    return {
        "hardsight": __version__,
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "environment": "virtual" if sys.prefix != sys.base_prefix else "system",
        },
        "platform": {"system": platform.platform(), "machine": platform.machine()},
        "processor": {
            "cores": os.cpu_count(),
            "usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        },
        "memory": {"free": free_memory() if Path("/proc/meminfo").exists() else None},
        "threads": {
            "environment": {name: _number_or_hint(os.environ.get(name)) for name in _THREADS},
            "torch": torch.get("threads"),
            "torch_between_operations": torch.get("threads_between_operations"),
            "pools": probe.get("pools", []),
        },
        "processes": {
            "start": multiprocessing.get_context().get_start_method(),
            "possible": multiprocessing.get_all_start_methods(),
        },
        "text": {"encoding": locale.getpreferredencoding(False), "file_names": sys.getfilesystemencoding()},
        "accelerators": {"torch_built_for": torch.get("built_for"), "found": torch.get("accelerators", [])},
        "libraries": libraries,
        "extras": {name: _extra(name, needed) for name, needed in extras.items()},
        "folders": folders,
        "faults": _faults(libraries, folders),
    }


def describe(report: dict[str, Any]) -> str:
    """Format the report of :func:`examine` for a terminal, one line per field."""
    python, processes = report["python"], report["processes"]
    fields = {
        "hardsight": report["hardsight"],
        "Python": f"{python['version']}, {python['implementation']}, {python['environment']} environment",
        "platform": f"{report['platform']['system']}, {report['platform']['machine']}",
        "cores": f"{report['processor']['cores']}, usable {report['processor']['usable']}",
        "free memory": _gib(report["memory"]["free"]),
        "threads": _describe_threads(report["threads"]),
        "processes": f"{processes['start']} (possible: {', '.join(processes['possible'])})",
        "text": f"{report['text']['encoding']}, file names {report['text']['file_names']}",
        "accelerators": _describe_accelerators(report["accelerators"]),
    }
    for name, folder in report["folders"].items():
        state = "writable" if folder["writable"] else f"not writable ({folder['fault']})"
        fields[f"{name} folder"] = f"{state}, {folder['file_system'] or 'unknown file system'}, {_gib(folder['free'])} free"
    libraries = {
        name: f"{library['version'] or '–':<12} {library['needed']:<10} {library['state']}"
        for name, library in report["libraries"].items()
    }
    extras = {
        name: f"{extra['for']}: {'missing ' + ', '.join(extra['lacking']) if extra['lacking'] else 'installed'}"
        for name, extra in report["extras"].items()
    }
    faults = "\n".join(f"FAULT: {fault}." for fault in report["faults"]) or "No problems found."
    return "\n\n".join([_align(fields), "libraries\n" + _align(libraries, "  "), "extras\n" + _align(extras, "  "), faults])


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Return what hardsight always needs, and what each of its extras needs; nothing if it is not installed."""
    try:
        fields = metadata.metadata("hardsight")
    except metadata.PackageNotFoundError:
        return [], {}
    needed = [Requirement(text) for text in fields.get_all("Requires-Dist") or []]
    core = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    extras = {
        name: [each for each in needed if each not in core and each.marker and each.marker.evaluate({"extra": name})]
        for name in fields.get_all("Provides-Extra") or []
    }
    return core, extras


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        build = _BUILDS.get(distribution)
        return None if build is None else _version(build)


def _is_satisfied(needed: Requirement, version: str | None) -> bool:
    return version is not None and needed.specifier.contains(version, prereleases=True)


def _module(distribution: str) -> str:
    return _MODULES.get(distribution.lower(), distribution.replace("-", "_"))


def _library(needed: Requirement, version: str | None, failures: dict[str, str]) -> dict[str, Any]:
    state = "works"
    if version is None:
        state = "missing"
    elif not _is_satisfied(needed, version):
        state = f"{version} is not {needed.specifier}"
    elif _module(needed.name) in failures:
        state = f"cannot be imported: {failures[_module(needed.name)]}"
    return {"version": version, "needed": str(needed.specifier), "state": state}


def _extra(name: str, needed: list[Requirement]) -> dict[str, Any]:
    versions = {each.name: _version(each.name) for each in needed}
    return {
        "for": EXTRAS.get(name, ""),
        "found": {name: version for name, version in versions.items() if version is not None},
        "lacking": [f"{each.name}{each.specifier}" for each in needed if not _is_satisfied(each, versions[each.name])],
    }


def _probe(modules: list[str]) -> dict[str, Any]:
    """Return what :mod:`hardsight.cli.doctor_probe` printed; a module that ended the process is among the faults."""
    command = [sys.executable, "-m", "hardsight.cli.doctor_probe", *modules]
    try:
        done = subprocess.run(  # noqa: S603 - this Python, this package, names of its own requirements
            command, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
        output, failure = done.stdout, f"the process ended with status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, failure = error.stdout or b"", f"not imported after {_TIMEOUT_S} seconds"
    except OSError as error:
        return {"faults": dict.fromkeys(modules, f"no process could be started ({error.strerror})")}
    report: dict[str, Any] = {"faults": {}}
    current = modules[0] if modules else None
    for line in map(json.loads, output.decode(errors="replace").splitlines()):
        if "importing" in line:
            current = line["importing"]
        elif "imported" in line:
            current = None
            if line["failure"]:
                report["faults"][line["imported"]] = line["failure"]
        else:
            report |= line
    if current is not None:
        report["faults"][current] = failure
    return report


def _folder(folder: Path) -> dict[str, Any]:
    """Return whether a folder, or the nearest existing one above it, is writable, and on what kind of disk it is."""
    existing = next((each for each in (folder.absolute(), *folder.absolute().parents) if each.exists()), Path.cwd())
    report: dict[str, Any] = {"exists": folder.exists(), "writable": True, "file_system": None, "free": None, "fault": None}
    try:
        report["file_system"] = file_system(existing)
        report["free"] = shutil.disk_usage(existing).free
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".hardsight-", suffix=".part") as file:
            file.write(b"test")
            file.flush()
    except OSError as error:
        report |= {"writable": False, "fault": strip_folders(error.strerror or str(error))}
    return report


def _faults(libraries: dict[str, Any], folders: dict[str, Any]) -> list[str]:
    faults = (
        [] if libraries else ["hardsight is not installed, only its code is on the path: pip install it to check versions"]
    )
    for name, library in libraries.items():
        if library["state"] == "missing":
            faults.append(f"{name} is missing: pip install '{name}{library['needed']}'")
        elif library["state"] != "works":
            faults.append(f"{name}: {library['state']}; pip install '{name}{library['needed']}'")
    for name, folder in folders.items():
        fix = "choose another with --out" if name == "results" else "set TMPDIR to another"
        if not folder["writable"]:
            faults.append(f"the folder for {name} files is not writable ({folder['fault']}): {fix}")
        elif folder["free"] < _MIN_FREE_BYTES:
            faults.append(f"the folder for {name} files has only {folder['free'] / 2**20:,.0f} MiB free: {fix}")
    return faults


def _number_or_hint(value: str | None) -> str | None:
    """Return numbers of threads as they are set; of any other value only that it is not a number."""
    return value if value is None or value.replace(",", "").strip().isdigit() else "not a number"


def _describe_threads(threads: dict[str, Any]) -> str:
    variables = [f"{name}={value}" for name, value in threads["environment"].items() if value is not None]
    pools = [f"{pool['library']} {pool['version'] or ''}".strip() + f" {pool['threads']}" for pool in threads["pools"]]
    return "; ".join([f"torch {threads['torch']}", *pools, ", ".join(variables) or "none set in the environment"])


def _describe_accelerators(report: dict[str, Any]) -> str:
    cards = [f"{card['name']} ({_gib(card['memory'])})" for card in report["found"]]
    return f"{', '.join(cards) or 'none'}; torch is built for {report['torch_built_for'] or 'an unknown device'}"


def _align(fields: dict[str, str], indent: str = "") -> str:
    width = max(map(len, fields), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in fields.items())


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
