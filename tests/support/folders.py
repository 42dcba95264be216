"""What a folder contains."""

import os
from pathlib import Path


def read_folder(folder: Path) -> dict[str, bytes]:
    """The bytes of each file by its name; nothing if the folder does not exist."""
    if not folder.exists():
        return {}
    return {os.fsdecode(entry.name): Path(entry).read_bytes() for entry in os.scandir(os.fspath(folder))}
