"""Sentences of the README and the documentation: most are short, and none has to be read twice for its length."""

import re
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MOST_WORDS, MEDIAN_WORDS = 40, 18


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a page without its code, tables, headings, formulas and addresses of links."""
    for pattern, replacement in (
        (r"(?s)```.*?```", "\n\n"),
        (r"(?s)\$\$.*?\$\$", "X"),
        (r"\$[^$\n]+\$", "X"),
        (r"<[^>]+>", " "),
        (r"`[^`]*`", "code"),
        (r"\]\([^)]*\)", "]"),
        (r"(?m)^(\||#|    |!\[).*$", "\n\n"),
    ):
        text = re.sub(pattern, replacement, text)
    paragraphs = re.split(r"\n\s*\n|(?m:^ *(?:[-*]|\d+\.) )", text)
    sentences = [each for paragraph in paragraphs for each in re.split(r"(?<=[.:;?!])\**\s+", " ".join(paragraph.split()))]
    return [sentence for sentence in sentences if sentence]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page):
    lengths = {sentence: len(sentence.split()) for sentence in sentences_of(page.read_text(encoding="utf-8"))}
    assert {sentence: words for sentence, words in lengths.items() if words > MOST_WORDS} == {}
    assert not lengths or median(lengths.values()) <= MEDIAN_WORDS


def test_code_tables_and_addresses_are_no_sentences():
    text = (
        "# A\n\nOne `a b c` [two words](https://x.org/a_b). Two: $a + b$.\n\n| a | b |\n\n- Three\n- Four\n\n```\nx y\n```"
    )
    assert sentences_of(text) == ["One code [two words].", "Two:", "X.", "Three", "Four"]
