"""Run the examples of docs/gallery again, and put code, output and figures of today onto their pages.

`python scripts/gallery.py [NAME ...]`; tests/project/test_gallery.py says whether that is due.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GALLERY, FIGURES = ROOT / "docs" / "gallery", ROOT / "docs" / "images" / "gallery"


def refreshed(page: str, code: str, output: str) -> str:
    """The page with other code and output: its one block ```py and its one block ```text."""
    head, rest = page.split("```py\n", 1)
    middle, tail = rest.split("```\n", 1)[1].split("```text\n", 1)
    return f"{head}```py\n{code}```\n{middle}```text\n{output}```\n{tail.split('```' + chr(10), 1)[1]}"


def main() -> None:
    """Run the examples named, or all."""
    for name in sys.argv[1:] or sorted(path.stem for path in GALLERY.glob("*.py")):
        script, page = GALLERY / f"{name}.py", GALLERY / f"{name}.md"
        command, environment = [sys.executable, str(script)], os.environ | {"OMP_NUM_THREADS": "1"}
        run = subprocess.run(command, cwd=FIGURES, check=True, capture_output=True, text=True, env=environment)
        texts = (page.read_text(encoding="utf-8"), script.read_text(encoding="utf-8"), run.stdout)
        page.write_text(refreshed(*texts), encoding="utf-8")
        print(f"{name}\n{run.stdout}")


if __name__ == "__main__":
    main()
