"""Every relative link in the docs leads to something: a file or folder of the project, and a heading in it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from nectorbridge.processes.tied import PROJECT_DIR

DOCS = PROJECT_DIR / "docs"
PAGES = [*sorted(PROJECT_DIR.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def prose(text):
    """Return a page without its code, in which nothing is a link."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+).+?\1", "", text)


def links(text):
    return [target for target in LINK.findall(prose(text)) if not ELSEWHERE.match(target)]


@cache
def anchors(page):
    """Return what a page's headings are called in an address, by GitHub's rule."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number, taken = 0, name
        while taken in found:
            number += 1
            taken = f"{name}-{number}"
        found.add(taken)
    return found


def broken(page, target):
    """Return why a link leads nowhere, or an empty text."""
    name, _mark, anchor = unquote(target).partition("#")
    there = (page.parent / name).resolve() if name else page
    if not there.exists():
        return f"{target}: there is nothing"
    if not there.is_relative_to(PROJECT_DIR):
        return f"{target}: outside the project"
    if anchor and there.suffix == ".md" and anchor not in anchors(there):
        return f"{target}: no such heading"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_DIR)))
def test_every_link_leads_to_something(page):
    assert [why for target in links(page.read_text()) if (why := broken(page, target))] == []


def test_every_page_is_in_the_table_of_contents():
    listed = {(DOCS / target.partition("#")[0]).resolve() for target in links((DOCS / "README.md").read_text())}
    pages = {page for page in PAGES if page.is_relative_to(DOCS)} - {DOCS / "README.md"}
    assert {str(page.relative_to(DOCS)) for page in pages - listed} == set()


def test_the_readme_leads_there():
    assert "docs/README.md" in links((PROJECT_DIR / "README.md").read_text())


def test_the_check_itself_finds_what_is_broken():
    page = DOCS / "README.md"
    text = (
        "[a](nowhere.md) [b](install.md#no-such-heading) [c](install.md#on-one-machine) `[d](code.md)` [e](https://x.example/y)"
    )
    assert [broken(page, target) for target in links(text)] == [
        "nowhere.md: there is nothing",
        "install.md#no-such-heading: no such heading",
        "",
    ]
    assert broken(page, str(Path("..") / ".." / "..")) in ("../../..: outside the project", "../../..: there is nothing")
