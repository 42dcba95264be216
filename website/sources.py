"""Which files of the repository are pages of the site, and links between them as the site has them."""

import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
STUDIES = "studies"
SHOWN = "source"
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#]*)(?P<anchor>#[^)\s]*)?(?=\))")
_OUTSIDE = "README.md", "CHANGELOG.md"


def page_of(path: str) -> str | None:
    """The site's source path of a file of the repository, ``docs/review.md`` as ``review.md``; None where it has none.

    docs/benchmarks.md is about the commands and keeps its name; the tables of benchmarks/ are the studies.
    """
    folder, _, rest = path.partition("/")
    if path == "README.md":
        return "index.md"
    if path == "CHANGELOG.md":
        return "changelog.md"
    if folder == "docs":
        return rest
    if folder == "benchmarks" and Path(path).suffix in {".md", ".svg"}:
        return f"{STUDIES}/index.md" if rest == "README.md" else f"{STUDIES}/{rest}"
    return None


def documents() -> list[str]:
    """Every file of the repository that is a page as it stands, as paths from the root."""
    found = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md"), *map(ROOT.joinpath, _OUTSIDE)]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def shown(documents: Iterable[str]) -> list[str]:
    """Files that pages point at though they are none, such as a test; the site shows their text, as paths from the root."""
    found: set[str] = set()
    for document in documents:
        for path in targets(document, (ROOT / document).read_text(encoding="utf-8")):
            if page_of(path) is None and (ROOT / path).is_file():
                found.add(path)
    return sorted(found)


def listing(path: str) -> str:
    """The page that shows a file which is none, in markdown."""
    language = {".py": "python", ".sh": "sh"}.get(Path(path).suffix, "text")
    return f"# {path}\n\n~~~~{language}\n{(ROOT / path).read_text(encoding='utf-8').rstrip()}\n~~~~\n"


def targets(document: str, text: str) -> list[str]:
    """What the links of a document of the repository point at, as paths from the root, in order."""
    found: list[str] = []

    def note(path: str) -> str:
        found.append(path)
        return path

    _each_link(text, document, note)
    return found


def fix_links(text: str, document: str, page: str) -> str:
    """The text with links that lead from one page of the site to another.

    Args:
        text: markdown, whose links are relative to the document.
        document: path from the root of the repository.
        page: source path of the page that shows the text.

    Raises:
        FileNotFoundError: a link leads nowhere.
    """

    def moved(path: str) -> str:
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{document} links to {path}, which does not exist")
        target = f"{path}/README.md" if (ROOT / path).is_dir() else path
        return posixpath.relpath(page_of(target) or f"{SHOWN}/{target}.md", posixpath.dirname(page) or ".")

    return _each_link(text, document, moved)


def _each_link(text: str, document: str, change: Callable[[str], str]) -> str:
    """The text with every relative link changed, of which ``change`` is told the path from the root."""

    def changed(link: re.Match[str]) -> str:
        path, anchor = link["path"], link["anchor"] or ""
        if not path or urlsplit(path).scheme:
            return path + anchor
        return change(posixpath.normpath(posixpath.join(posixpath.dirname(document), path))) + anchor

    kept, end = [], 0
    for fence in _FENCE.finditer(text):
        kept += [_LINK.sub(changed, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*kept, _LINK.sub(changed, text[end:])])
