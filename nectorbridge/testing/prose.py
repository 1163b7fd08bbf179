"""Finds, on a page in another language, what is still English prose: texts, and attributes that are read out or shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

SHOWN_ATTRIBUTES = ("aria-label", "aria-description", "title", "placeholder", "alt", "label", "summary")
WORDS_FOR_SCRIPTS = ("data-copied", "data-leaves", "data-usual")  # scripts show them later
# What is not prose: code and samples, what somebody typed, scripts and styles, and the theme's icons, which are words in a font.
SILENT = {"code", "pre", "script", "style", "textarea", "kbd", "samp", "svg"}
ICONS = "material-symbols-outlined"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
BUTTONS = {"submit", "button", "reset"}
LETTERS = re.compile(r"[A-Za-z]{2,}")
# Words that no name, value or unit consists of. Two of them in a text of the other language are a sentence that slipped in.
SMALL_WORDS = re.compile(r"\b(?:the|of|is|are|was|were|this|that|with|from|and|have|has|been|not|will|by|for|it|its|at|on|to)\b")


class _Texts(HTMLParser):
    """Collects what a person sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the attributes that are shown."""
        values = {name: value or "" for name, value in attrs}
        silent = tag in SILENT or ICONS in values.get("class", "") or values.get("translate") == "no"
        silent = silent or values.get("lang", "hi") != "hi"
        if not self._is_silent:
            names = [*SHOWN_ATTRIBUTES, *WORDS_FOR_SCRIPTS]
            names += ["value"] if tag == "input" and values.get("type") in BUTTONS else []
            self.found += [values[name] for name in names if name in values]
        if tag not in VOID:
            self._open.append((tag, silent))

    def handle_endtag(self, tag: str) -> None:
        """Close it, and whatever was left open in it."""
        if any(name == tag for name, _silent in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Take a text."""
        if not self._is_silent:
            self.found.append(data)

    @property
    def _is_silent(self) -> bool:
        return any(silent for _name, silent in self._open)


def texts(html: str) -> Iterator[str]:
    """Yield every text of a page, white space aside."""
    reader = _Texts()
    reader.feed(html)
    yield from (text for found in reader.found if (text := " ".join(found.split())))


def english(html: str, stays: re.Pattern[str]) -> list[str]:
    """Return the texts that are English: no letter of another script, and words that are not among what stays as it is.

    A text in the other script may hold names and codes, but no sentence.
    """
    found = []
    for text in texts(html):
        rest = stays.sub(" ", text)
        is_foreign = any(ord(letter) > 0x0900 and letter.isalpha() for letter in text)
        if len(SMALL_WORDS.findall(rest)) > 1 if is_foreign else LETTERS.search(rest):
            found.append(text)
    return list(dict.fromkeys(found))
