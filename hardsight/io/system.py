"""Properties of the machine: free memory, and the file system of a folder."""

import os
from pathlib import Path


def file_system(folder: str | Path) -> str | None:
    """Return the type of a folder's file system, such as "ext4" or "tmpfs"; None if it cannot be told."""
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    return next((mount[mount.index("-") + 1] for mount in mounts if mount[2] == number), None)


def free_memory() -> int:
    """Return the bytes of main memory that are available within the limits of the control group; 1 TiB if unknown."""
    available = [2**40]
    memory = _read_numbers(Path("/proc/meminfo"))
    if "MemAvailable:" in memory:
        available.append(1024 * memory["MemAvailable:"])
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        available.append(limit - _read_numbers(Path("/sys/fs/cgroup/memory.stat"))["anon"])
    except (OSError, ValueError, KeyError):
        pass  # no control group, or one without a limit
    return max(min(available), 0)


def _read_numbers(path: Path) -> dict[str, int]:
    """Read the first number of every line by its first word; empty if there is no such file."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
