"""Where somebody is named: in texts, in JSON, and in columns, by values that are theirs alone (an email, a mobile, an ID)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import quote, quote_plus

from django.db.models import Q, TextField
from django.db.models.functions import Cast

SHORTEST = 6  # characters: what is shorter stands in texts that are about something else


class Words:
    """Values that name one person.

    Telling ones name nobody else, and are looked for inside of texts unless they are short. Names may be somebody else's as
    well: they count where a row is known to be linked with the person (`close`), and only as a whole value.
    """

    def __init__(self, telling: Iterable[str], names: Iterable[str] = ()) -> None:
        """Keep them; a mobile number also without its plus."""
        given = {word.strip() for word in telling} - {""}
        given |= {word.removeprefix("+") for word in given if word[1:].isdecimal()}
        self.given = frozenset(word.lower() for word in given)
        self.telling = tuple(sorted((word for word in given if len(word) >= SHORTEST), key=len, reverse=True))
        self.names = frozenset(name.strip().lower() for name in names if name.strip())
        self._pattern = re.compile("|".join(map(_bounded, self.telling)) or r"(?!)", re.IGNORECASE)

    def __bool__(self) -> bool:
        """Tell whether there is anything to look for in texts."""
        return bool(self.telling)

    def are(self, text: str) -> bool:
        """Tell whether a whole text is one of the telling ones, be it as short as it may."""
        return text.strip().lower() in self.given

    def are_in(self, value: Any, close: bool = False) -> bool:
        """Tell whether a value names them, or anything inside of it does."""
        if isinstance(value, str):
            return bool(self._pattern.search(value)) or (close and value.strip().lower() in self.names)
        if isinstance(value, Mapping):
            return any(self.are_in(item, close) for pair in value.items() for item in pair)
        if isinstance(value, list | tuple):
            return any(self.are_in(item, close) for item in value)
        return isinstance(value, int) and self.are_in(str(value))

    def taken_out(self, value: Any, close: bool = False) -> Any:
        """Return a value, or what is inside of it, with an empty text wherever it names them."""
        if isinstance(value, Mapping):
            return {key: self.taken_out(item, close) for key, item in value.items() if not self.are_in(key)}
        if isinstance(value, list | tuple):
            return [self.taken_out(item, close) for item in value]
        return "" if self.are_in(value, close) else value

    def may_be_in(self, text: str) -> bool:
        """Tell whether a text has a telling one in it, even as a part of something longer."""
        return any(word.lower() in text.lower() for word in self.telling)

    def somewhere_in(self, *columns: str) -> Q:
        """Return the condition that a column has any of the telling ones in it, however it is written there.

        It may take in too much: an address that ends with theirs, for example.
        """
        ways = {way for word in self.telling for way in _ways_to_write(word)}
        return reduce(or_, (Q(**{f"{column}__icontains": way}) for column in columns for way in sorted(ways)), Q(pk__in=[]))


def as_text(column: str) -> Cast:
    """Return a JSON column as the text in which `Words.somewhere_in` looks."""
    return Cast(column, TextField())


def _bounded(word: str) -> str:
    """Return the pattern of a word that is not part of a longer one: of another address, or another number."""
    before = r"(?<![\w.+-])" if "@" in word else r"(?<!\w)"
    return rf"{before}{re.escape(word)}(?![\w-])(?!\.\w)"


def _ways_to_write(word: str) -> set[str]:
    """Return a word as it stands in JSON, in a form and in an address."""
    in_json = {word, json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}
    return in_json | {written for way in in_json for written in (quote(way, safe=""), quote_plus(way))}
