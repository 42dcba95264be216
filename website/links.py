"""Checks a built site without a network: every internal link and anchor exists, and nothing is fetched from elsewhere.

``python -m website.links site`` prints the counts and exits with status 1 where something is wrong.
"""

import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

_HOST = "http://site.invalid/"
# Attributes whose address a browser fetches by itself, by tag; a link element's depends on what it is for.
_FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "use": ("href",),
}
_FETCHING = {"stylesheet", "icon", "preconnect", "preload", "prefetch", "modulepreload", "dns-prefetch", "manifest"}
_IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?(?!data:|#)([^"')\s;]+)""")


class Link(NamedTuple):
    """What a page points at.

    Attributes:
        address: as written.
        fetched: whether a browser asks for it without being told to.
    """

    address: str
    fetched: bool


class Seen(HTMLParser):
    """What stands in one page: its targets and its links."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.targets: set[str] = set()
        self.repeated: set[str] = set()
        self.links: list[Link] = []
        self._style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names and points at."""
        given = {name: value or "" for name, value in attrs}
        if name := given.get("id"):
            (self.repeated if name in self.targets else self.targets).add(name)
        if tag == "a" and given.get("name"):
            self.targets.add(given["name"])
        if tag == "a" and "href" in given:
            self.links.append(Link(given["href"], fetched=False))
        if tag == "link" and "href" in given:
            self.links.append(Link(given["href"], fetched=bool(_FETCHING & set(given.get("rel", "").split()))))
        for attribute in _FETCHED.get(tag, ()):
            for address in given.get(attribute, "").split(","):
                if address.strip():
                    self.links.append(Link(address.split()[0], fetched=True))
        self.links += [Link(address, fetched=True) for address in _IN_STYLES.findall(given.get("style", ""))]
        self._style = tag == "style"

    def handle_data(self, data: str) -> None:
        """Note what a style sheet within the page fetches."""
        if self._style:
            self.links += [Link(address, fetched=True) for address in _IN_STYLES.findall(data)]


class Checked(NamedTuple):
    """What was found in a site.

    Attributes:
        counts: pages, links within the site, those of them that name an anchor.
        outside: addresses on the web that links lead to, with how often; none is asked for.
        faults: a line each.
    """

    counts: dict[str, int]
    outside: Counter[str]
    faults: list[str]


def check(site: Path) -> Checked:
    """Follow every link of a built site."""
    pages = {
        path.relative_to(site).as_posix(): Seen(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))
    }
    found = Checked({"pages": len(pages), "links": 0, "anchors": 0}, Counter(), [])
    for name, page in pages.items():
        found.faults.extend(f"{name}: the id {each!r} appears twice" for each in sorted(page.repeated))
        for link in page.links:
            _follow(site, pages, name, link, found)
    by_readers = dict(found.counts)
    for path in sorted(site.rglob("*.css")):
        for address in _IN_STYLES.findall(path.read_text(encoding="utf-8")):
            _follow(site, pages, path.relative_to(site).as_posix(), Link(address, fetched=True), found)
    return found._replace(counts=by_readers)


def _follow(site: Path, pages: dict[str, Seen], name: str, link: Link, found: Checked) -> None:
    parts = urlsplit(link.address)
    if parts.scheme in {"data", "mailto", "javascript"}:
        return
    if parts.scheme or parts.netloc:
        found.outside[link.address] += 1
        if link.fetched:
            found.faults.append(f"{name}: fetches {link.address}")
        return
    found.counts["links"] += 1
    target = unquote(urlsplit(urljoin(_HOST + name, link.address)).path).lstrip("/")
    target += "index.html" if not target or target.endswith("/") else ""
    if not (site / target).is_file():
        found.faults.append(f"{name}: {link.address} leads nowhere")
    elif parts.fragment:
        found.counts["anchors"] += 1
        if target in pages and unquote(parts.fragment) not in pages[target].targets:
            found.faults.append(f"{name}: {link.address} names no place of {target}")


def main(site: Path) -> int:
    """Check, print, and say how it went as an exit status."""
    found = check(site)
    for fault in found.faults:
        print(fault, file=sys.stderr)
    print("links to the web, not followed: " + (", ".join(sorted(found.outside)) or "none"))
    counts = found.counts
    print(
        f"{site}: {counts['pages']} pages, {counts['links']} links within the site, {counts['anchors']} of them to anchors; "
        f"{len(found.outside)} addresses on the web; {len(found.faults)} faults"
    )
    return 1 if found.faults or not counts["pages"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
