"""What the machine has: memory that is free, and what kind of disk a folder lies on."""

import os
from pathlib import Path


def file_system(folder: str | Path) -> str | None:
    """The kind of file system that a folder lies on, "ext4" or "tmpfs", say; None where nothing says."""
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    return next((mount[mount.index("-") + 1] for mount in mounts if mount[2] == number), None)


def free_memory() -> int:
    """Bytes of main memory that can still be had, under the limits of the control group; much where nothing says."""
    left = [2**40]
    told = _numbers(Path("/proc/meminfo"))
    if "MemAvailable:" in told:
        left.append(1024 * told["MemAvailable:"])
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        left.append(limit - _numbers(Path("/sys/fs/cgroup/memory.stat"))["anon"])
    except (OSError, ValueError, KeyError):
        pass  # no group, or one without a limit
    return max(min(left), 0)


def _numbers(file: Path) -> dict[str, int]:
    """The first number of every line by its first word; nothing where there is no such file."""
    try:
        rows = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
