"""The first page: the README, with a card for each kind of reader."""

from collections.abc import Iterator

from website.sources import ROOT

# By what a reader is after; links are the README's, relative to the root of the repository.
_READERS = (
    ("I am new here", "A page for the data or the library that you have; then one story, and whole examples.",
     "docs/quick-starts.md", "docs/tutorial.md", "docs/gallery.md"),
    ("I clean data", "Which labels are wrong, which samples are strange, and what to do about each.",
     "docs/review.md", "docs/data-and-learners.md", "docs/plots.md"),
    ("I train models", "Weights by name or from the ledger, in your loop or a library's.",
     "docs/weighting.md", "docs/weights.md", "docs/integrations.md"),
    ("I study difficulty", "The mathematics, the classic measures, the claims and how they are tested.",
     "docs/how-it-works.md", "docs/measures.md", "docs/theory.md"),
    ("I want to know whether it works", "What it cannot do, studies with their commands, and what lost.",
     "docs/results.md", "docs/limits.md", "benchmarks/README.md", "benchmarks/LOG.md"),
    ("I build on it", "Your own measure, scheme or learner, and what stays as it is.",
     "docs/extending.md", "docs/versions.md"),
)  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """Source path and markdown of the first page; links are still those of the README."""
    opening, heading, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")
    cards = "\n".join(_card(*reader) for reader in _READERS)
    start = "---\nhide:\n  - navigation\n---"
    yield (
        "index.md",
        "\n\n".join(
            (start, opening.strip(), '<div class="grid cards" markdown>', cards, "</div>", f"{heading.strip()} {rest}")
        ),
    )


def _card(who: str, what: str, *documents: str) -> str:
    links = " · ".join(f"[{_title(document)}]({document})" for document in documents)
    return f"-   **{who}**\n\n    {what}\n\n    {links}\n"


def _title(document: str) -> str:
    first = (ROOT / document).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ").partition(":")[0]
