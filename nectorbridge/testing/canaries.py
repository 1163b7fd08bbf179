"""Canaries: secrets that are planted once, and looked for in whatever an installation shows, writes and stores."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

import requests

SHOWN_TAIL = 4  # characters that pages may show, to tell one key from another
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def needles(secret: str) -> set[str]:
    """Return how a secret looks that was written somewhere: plain, encoded in one of the usual ways, or hashed as on the wire."""
    core = secret[:-SHOWN_TAIL]
    found = {core, quote(core, safe=""), html.escape(core), hashlib.sha256(secret.encode()).hexdigest(), core[::-1]}
    for before in range(3):  # base64 of it wherever it stands in a longer text, as in Basic authentication
        encoded = base64.b64encode(b"\0" * before + core.encode()).decode()
        found |= {encoded[4:-4], base64.urlsafe_b64encode(b"\0" * before + core.encode()).decode()[4:-4]}
    return found


class Search:
    """Collects what was found, each with where it stood."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Look for these."""
        self._needles: dict[str, str] = {}
        self.add(secrets)
        self.found: set[str] = set()
        self.looked_at = 0
        self.statuses = Counter[int]()

    def add(self, secrets: Iterable[str]) -> None:
        """Look for these as well, from now on."""
        self._needles |= {needle: secret for secret in secrets for needle in needles(secret)}

    def look(self, where: str, text: str | bytes) -> None:
        """Look through a text, as it is and without its percent signs and entities."""
        told = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self.looked_at += 1
        for form in {told, unquote(told), html.unescape(told)}:
            self.found |= {f"{secret[:24]} in {where}" for needle, secret in self._needles.items() if needle in form}


class Visitor:
    """Somebody with a browser, without one: keeps cookies, sends forms, and hands every answer to the search."""

    def __init__(self, base: str, name: str, password: str, search: Search) -> None:
        """Log in."""
        self.base, self.name, self._search, self._session = base, name, search, requests.Session()
        answer = self.post("/admin/login/", {"username": name, "password": password, "next": "/admin/"})
        assert answer.url.rstrip("/").endswith("/admin"), f"{name} is not logged in: {answer.url}"

    def get(self, path: str) -> requests.Response:
        """Fetch a page."""
        return self._seen(self._session.get(self.base + path, timeout=30))

    def post(self, path: str, values: dict[str, Any], page: str = "") -> requests.Response:
        """Send a form; its token is taken from the page that it stands on."""
        token = TOKEN.search(self._session.get(self.base + (page or path), timeout=30).text)
        given = values | ({"csrfmiddlewaretoken": token[1]} if token else {})
        return self._seen(self._session.post(self.base + path, data=given, timeout=30))

    def _seen(self, answer: requests.Response) -> requests.Response:
        for one in (*answer.history, answer):
            self._search.statuses[one.status_code] += 1
            self._search.look(f"{one.request.method} {one.url.removeprefix(self.base)} by {self.name}", one.text)
            self._search.look(f"headers of {one.url.removeprefix(self.base)}", str(dict(one.headers)))
        return answer


def columns(connection: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Yield every table and column of an SQLite file with what is in it as text."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        for _number, column, *_rest in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
            rows = connection.execute(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL').fetchall()  # noqa: S608
            yield table, column, [value.decode("latin-1") if isinstance(value, bytes) else str(value) for (value,) in rows]
