"""The first page and the results, both from the README."""

from collections.abc import Iterator

from website.sources import ROOT, section

# Pages that are parts of the README: the heading above the part, and the title of the page.
PARTS = {"index.md": ("Quick start", ""), "results.md": ("What is measured", "What is measured")}
# By what a reader is after; links are the README's, relative to the root of the repository.
_READERS = (
    ("I am new here", "A page for the data or the library that you have; then one story, and whole examples.",
     "docs/quick-starts.md", "docs/tutorial.md", "docs/gallery.md"),
    ("I clean data", "Which labels are wrong, which samples are strange, and what to do about each.",
     "docs/review.md", "docs/data-and-learners.md", "docs/plots.md"),
    ("I train models", "Weights by name or from the ledger, in a loop of yours or a library's.",
     "docs/weighting.md", "docs/weights.md", "docs/integrations.md"),
    ("I study difficulty", "The mathematics, the classic measures, the claims and how they are tested.",
     "docs/how-it-works.md", "docs/measures.md", "docs/theory.md"),
    ("I want to know whether it works", "What it cannot do, studies with their commands, and what lost.",
     "docs/limits.md", "benchmarks/README.md", "benchmarks/LOG.md"),
    ("I build on it", "A measure, a scheme or a learner of yours, and what stays as it is.",
     "docs/extending.md", "docs/versions.md"),
)  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """Source path and markdown of each page; links are still those of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page, (heading, title) in PARTS.items():
        part = section(readme, heading)
        yield page, f"# {title}\n\n{part}" if title else _landing(readme, section(readme, "Two commands"), part)


def _landing(readme: str, install: str, quick_start: str) -> str:
    opening, _, picture = readme.partition("\n## ")[0].rpartition("\n![")
    cards = "\n".join(_card(*reader) for reader in _READERS)
    return "\n\n".join((
        "---\nhide:\n  - navigation\n---", opening.strip(), '<div class="grid cards" markdown>', cards, "</div>",
        "## Two commands", install, "## Quick start", quick_start, f"![{picture}", "",
    ))  # fmt: skip


def _card(who: str, what: str, *documents: str) -> str:
    links = " · ".join(f"[{_title(document)}]({document})" for document in documents)
    return f"-   **{who}**\n\n    {what}\n\n    {links}\n"


def _title(document: str) -> str:
    first = (ROOT / document).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ").partition(":")[0]
