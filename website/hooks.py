"""What MkDocs calls while it builds: generated pages join, links are fixed, formulas become MathML."""

import re
import subprocess
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import commands, formulas, home, reference, sources

_STYLES = "assets/hardsight.css"
# Formulas need a font with their measures in it, which many machines lack; ziamath brings one (SIL Open Font License).
_FONT = "STIXTwoMath-Regular.ttf"
# Which document of the repository stands on a page, for those whose links are the repository's.
_origins: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the style sheet, which lies with the generator."""
    config.extra_css.append(_STYLES)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in ``docs/``, and put it into the navigation."""
    documents = sources.documents()
    _origins.clear()
    _origins.update({str(sources.page_of(path)): path for path in documents})
    for page, path in _origins.items():
        if not path.startswith("docs/") and path != "README.md":
            _add(files, config, page, (sources.ROOT / path).read_text(encoding="utf-8"))
    for figure in sorted((sources.ROOT / "benchmarks" / "figures").glob("*.svg")):
        _add(files, config, f"{sources.STUDIES}/figures/{figure.name}", figure.read_bytes())
    shown = [(f"{sources.SHOWN}/{path}.md", sources.listing(path)) for path in sources.shown(documents)]
    generated = (home.pages(), commands.pages(), reference.pages(), shown)
    for page, text in (each for pages in generated for each in pages):
        _add(files, config, page, text)
    _add(files, config, _STYLES, (Path(__file__).parent / "hardsight.css").read_text(encoding="utf-8"))
    _add(files, config, f"assets/{_FONT}", (resources.files("ziamath.fonts") / _FONT).read_bytes())
    known = [file.src_uri for file in files.documentation_pages()]
    config.nav = expanded(config.nav or [], known)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fix the links of documents that are written for the repository, and date the studies."""
    document = _origins.get(page.file.src_uri)
    if document is None:
        return markdown
    text = sources.fix_links(markdown, document, page.file.src_uri)
    if document.startswith("benchmarks/") and (changed := _changed(document)):
        text = re.sub(r"\A(# .*\n)", rf"\1\n*Last change of this page: {changed}.*\n", text)
    return text


def on_page_content(html: str, **_: Any) -> str:
    """Show formulas."""
    return formulas.rendered(html)


def expanded(nav: list[Any], known: list[str]) -> list[Any]:
    """The navigation with patterns replaced by the pages that they match, and without what has no page.

    >>> nav = ["index.md", {"Commands": ["commands/*.md"]}, {"Gallery": "gallery/*.md"}]
    >>> expanded(nav, ["index.md", "commands/a.md", "commands/index.md", "commands/bench/b.md"])
    ['index.md', {'Commands': ['commands/index.md', 'commands/a.md']}]
    """
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, str):
            fitting = (page for page in known if _fits(page, entry))
            found += sorted(fitting, key=lambda page: not page.endswith("index.md")) if "*" in entry else [entry]
            continue
        ((title, inside),) = entry.items()
        if isinstance(inside, list):
            inside = expanded(inside, known)
        elif "*" in inside:
            inside = expanded([inside], known)
        if inside:
            found.append({title: inside})
    return found


def _fits(page: str, pattern: str) -> bool:
    """Whether a page matches a pattern, whose star is no slash."""
    return fnmatch(page, pattern) and page.count("/") == pattern.count("/")


def _add(files: Files, config: MkDocsConfig, page: str, content: str | bytes) -> None:
    old = files.get_file_from_path(page)
    if old is not None:
        files.remove(old)
    files.append(File.generated(config, page, content=content))


def _changed(path: str) -> str:
    """The day a file was last changed in the repository; "" where there is no history."""
    command = ["git", "-C", str(sources.ROOT), "log", "-1", "--format=%cs", "--", path]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
