"""What ``hardsight doctor`` finds out: no name of a user, folder or machine, and of the environment numbers of threads."""

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
from hardsight.cli.doctor.words import without_folders
from hardsight.io.system import file_system, free_memory

# The extras of pyproject.toml, and what each is for.
EXTRAS = {
    "fast": "networks as machine code",
    "ray": "measuring on a Ray cluster (--backend ray)",
    "boosting": "learners lightgbm and xgboost; weights in their own loops",
    "huggingface": "hs.HuggingFace and WeightedTrainer",
    "lightning": "WeightingCallback",
    "skorch": "hs.skorch",
    "serve": "hardsight serve",
    "sentence-embeddings": "--embedding sentence-transformers:NAME",
    "image-embeddings": "--embedding efficientnet-lite0",
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
# Distributions whose module is not called what they are, with "-" for "_".
_MODULES = {"pillow": "PIL", "scikit-learn": "sklearn", "vl-convert-python": "vl_convert"}
# Other builds of a distribution, under a name of their own.
_BUILDS = {"xgboost": "xgboost-cpu"}
_PATIENCE = 180
# A result of a million samples and its page take less.
_ROOM = 2**30


def examine(results: str | Path = "hardsight-results") -> dict[str, Any]:
    """The environment as plain JSON types; ``faults`` lists what is in the way, a sentence each.

    Args:
        results: the folder that results are to be written to. It need not be there, and none is made.
    """
    core, extras = _requirements()
    versions = {needed.name: _version(needed.name) for needed in core}
    said = _probed([_module(name) for name, version in versions.items() if version is not None])
    libraries = {needed.name: _library(needed, versions[needed.name], said["faults"]) for needed in core}
    folders = {"results": _folder(Path(results)), "temporary": _folder(Path(tempfile.gettempdir()))}
    asked = said.get("torch") or {}
    return {
        "hardsight": __version__,
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "environment": "virtual" if sys.prefix != sys.base_prefix else "the system's",
        },
        "platform": {"system": platform.platform(), "machine": platform.machine()},
        "processor": {"cores": os.cpu_count(), "usable": _usable()},
        "memory": {"free": free_memory() if Path("/proc/meminfo").exists() else None},
        "threads": {
            "environment": {name: _number(os.environ.get(name)) for name in THREADS},
            "torch": asked.get("threads"),
            "torch_between_operations": asked.get("threads_between_operations"),
            "pools": said.get("pools", []),
        },
        "processes": {
            "start": multiprocessing.get_context().get_start_method(),
            "possible": multiprocessing.get_all_start_methods(),
        },
        "text": {"encoding": locale.getpreferredencoding(False), "file_names": sys.getfilesystemencoding()},
        "accelerators": {"torch_built_for": asked.get("built_for"), "found": asked.get("accelerators", [])},
        "libraries": libraries,
        "extras": {name: _extra(name, needed) for name, needed in extras.items()},
        "folders": folders,
        "faults": _faults(libraries, folders),
    }


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What the installed hardsight needs always, and for each of its extras; nothing where it runs uninstalled."""
    try:
        told = metadata.metadata("hardsight")
    except metadata.PackageNotFoundError:
        return [], {}
    needed = [Requirement(text) for text in told.get_all("Requires-Dist") or []]
    core = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    extras = {
        name: [each for each in needed if each not in core and each.marker and each.marker.evaluate({"extra": name})]
        for name in told.get_all("Provides-Extra") or []
    }
    return core, extras


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        build = _BUILDS.get(distribution)
        return None if build is None else _version(build)


def _fits(needed: Requirement, version: str | None) -> bool:
    return version is not None and needed.specifier.contains(version, prereleases=True)


def _module(distribution: str) -> str:
    return _MODULES.get(distribution.lower(), distribution.replace("-", "_"))


def _library(needed: Requirement, version: str | None, faults: dict[str, str]) -> dict[str, Any]:
    state = "works"
    if version is None:
        state = "missing"
    elif not _fits(needed, version):
        state = f"{version} is not {needed.specifier}"
    elif _module(needed.name) in faults:
        state = f"does not open: {faults[_module(needed.name)]}"
    return {"version": version, "needed": str(needed.specifier), "state": state}


def _extra(name: str, needed: list[Requirement]) -> dict[str, Any]:
    versions = {each.name: _version(each.name) for each in needed}
    return {
        "for": EXTRAS.get(name, ""),
        "found": {name: version for name, version in versions.items() if version is not None},
        "lacking": [f"{each.name}{each.specifier}" for each in needed if not _fits(each, versions[each.name])],
    }


def _probed(modules: list[str]) -> dict[str, Any]:
    """What :mod:`hardsight.cli.doctor.probe` printed; a module in which the process ended stands among the faults."""
    command = [sys.executable, "-m", "hardsight.cli.doctor.probe", *modules]
    try:
        done = subprocess.run(  # noqa: S603 - this Python, this package, names of its own requirements
            command, capture_output=True, timeout=_PATIENCE, check=False
        )
        printed, ended = done.stdout, f"the process ended with status {done.returncode}"
    except subprocess.TimeoutExpired as late:
        printed, ended = late.stdout or b"", f"not open after {_PATIENCE} seconds"
    except OSError as fault:
        return {"faults": dict.fromkeys(modules, f"no process could be started ({fault.strerror})")}
    said: dict[str, Any] = {"faults": {}}
    opening = modules[0] if modules else None
    for line in printed.decode(errors="replace").splitlines():
        told = json.loads(line)
        if "opening" in told:
            opening = told["opening"]
        elif "module" in told:
            opening = None
            if told["fault"]:
                said["faults"][told["module"]] = told["fault"]
        else:
            said |= told
    if opening is not None:
        said["faults"][opening] = ended
    return said


def _folder(folder: Path) -> dict[str, Any]:
    """Whether a folder, or the nearest one above it that is there, can be written to, and what kind of disk it is on."""
    there = next((each for each in (folder.absolute(), *folder.absolute().parents) if each.exists()), Path.cwd())
    told: dict[str, Any] = {
        "exists": folder.exists(),
        "writable": True,
        "file_system": None,
        "free": None,
        "fault": None,
    }
    try:
        told["file_system"] = file_system(there)
        told["free"] = shutil.disk_usage(there).free
        with tempfile.NamedTemporaryFile(dir=there, prefix=".hardsight-", suffix=".part") as file:
            file.write(b"written")
            file.flush()
    except OSError as fault:
        told |= {"writable": False, "fault": without_folders(fault.strerror or str(fault))}
    return told


def _faults(libraries: dict[str, Any], folders: dict[str, Any]) -> list[str]:
    found = (
        []
        if libraries
        else ["hardsight is not installed, its code is only at hand: pip install it to know what it needs"]
    )
    for name, library in libraries.items():
        if library["state"] == "missing":
            found.append(f"{name} is missing: pip install '{name}{library['needed']}'")
        elif library["state"] != "works":
            found.append(f"{name}: {library['state']}; pip install '{name}{library['needed']}'")
    for name, folder in folders.items():
        mend = "choose another with --out" if name == "results" else "set TMPDIR to another"
        if not folder["writable"]:
            found.append(f"the folder for {name} files cannot be written to ({folder['fault']}): {mend}")
        elif folder["free"] < _ROOM:
            found.append(f"the folder for {name} files has {folder['free'] / 2**20:,.0f} MiB free: {mend}")
    return found


def _usable() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _number(value: str | None) -> str | None:
    """Numbers of threads as set; of anything else only that it is none."""
    if value is None or value.replace(",", "").strip().isdigit():
        return value
    return "not a number"
