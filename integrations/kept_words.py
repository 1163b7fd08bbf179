"""Words that are kept in the database: written in the language of the code, whoever writes, and said in the reader's.

What is kept is what a page would show in English, so it needs no column of its own and stays readable by itself. To say it in
another language, the message that it was made of is found again in the catalog, and what was filled in is filled in anew.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.conf import settings
from django.utils import translation
from django.utils.translation import trans_real

SLOT = re.compile(r"%\((\w+)\)[sd]|%%")
NUMBER = re.compile(r"%\((\w+)\)d")  # what was filled in is text by now
SENTENCE_END = re.compile(r"(?<=[.!?:”)]) ")
SHORTEST = 8  # letters that a message must have beside its slots, or it would be found in anything
MOST_SENTENCES = 12


def kept() -> translation.override:
    """Return what makes words in the language of the code, for a `with` or as a decorator."""
    return translation.override(settings.LANGUAGE_CODE)


def said(words: str) -> str:
    """Return kept words in the active language; what no message explains, such as a provider's own words, stays as it is."""
    language = translation.get_language()
    if not words or language in (None, settings.LANGUAGE_CODE):
        return words
    return _said(str(words), str(language))


@lru_cache(maxsize=4096)
def _said(words: str, language: str) -> str:
    """Say a whole text, or as many of its sentences as are known."""
    whole = _message(words, language)
    if whole is not None:
        return whole
    sentences, found, at = SENTENCE_END.split(words), [], 0
    while at < len(sentences) <= MOST_SENTENCES:
        for end in range(len(sentences), at, -1):
            known = _message(" ".join(sentences[at:end]), language)
            if known is not None or end == at + 1:
                found.append(sentences[at] if known is None else known)
                at = end
                break
    return " ".join(found) or words


def _message(words: str, language: str) -> str | None:
    """Return what one message says, or None where it is none of ours."""
    own = translation.gettext(words)
    if own != words:
        return own
    for message, pattern, translated in _patterns(language):
        if words.startswith(message) and (match := pattern.fullmatch(words)):
            return str(translated % match.groupdict())
    return None


@lru_cache(maxsize=8)
def _patterns(language: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Return every message with something to fill in: how it begins, what it looks like, and its translation; long ones first."""
    found = []
    for message, translated in trans_real.translation(language)._catalog.items():  # type: ignore[attr-defined]
        if not isinstance(message, str) or "<" in message or "\4" in message or not SLOT.search(message):
            continue
        literal = SLOT.sub("", message)
        if sum(letter.isalpha() for letter in literal) >= SHORTEST and translated:
            found.append((len(literal), message.split("%", 1)[0], _pattern(message), NUMBER.sub(r"%(\1)s", translated)))
    return [(begin, pattern, text) for _length, begin, pattern, text in sorted(found, key=lambda item: -item[0])]


def _pattern(message: str) -> re.Pattern[str]:
    """Return what a message looks like once it is filled in."""
    parts, at, seen = [], 0, set()
    for slot in SLOT.finditer(message):
        parts.append(re.escape(message[at : slot.start()]))
        name = slot[1]
        parts.append("%" if name is None else f"(?P={name})" if name in seen else f"(?P<{name}>.+?)")
        seen.add(name)
        at = slot.end()
    return re.compile("".join(parts) + re.escape(message[at:]), re.DOTALL)
