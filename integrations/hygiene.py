"""Secrets in addresses and in what comes back: no log line shows a query, no answer keeps a credential it echoes.

Some providers want their tokens in the query string. urllib3 logs the address of each request at DEBUG, and at WARNING
where an answer's headers are malformed; the filters here cut what stands behind the question mark, whatever the level.
"""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from integrations.secrets import MASK

# A logger's filter sees only what is logged on that very logger: each of urllib3's that may name an address is listed.
LOGGERS = (
    "requests",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
QUERY = re.compile(r"\?[^\s\"]+")
UNPARSED = re.compile(r"unparsed data: .*", re.DOTALL)  # an answer's malformed headers, in which anything may be echoed
UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*\Z")  # RFC 3986: no encoder changes these


class NoQuery(logging.Filter):
    """Cuts the query out of every address in a record. Nothing is dropped but that, and tracebacks, which may quote it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; let it pass."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        record.msg, record.args = QUERY.sub(f"?{MASK}", UNPARSED.sub(f"unparsed data: {MASK}", text)), None
        record.exc_info = record.exc_text = None
        return True


def keep_queries_out_of_logs() -> None:
    """Put the filter on the HTTP library's loggers. Safe to call again."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, NoQuery) for known in logger.filters):
            logger.addFilter(NoQuery())


def about(integration: Any = None, call: Any = None, delivery: Any = None) -> dict[str, Any]:
    """Return what a line of ours is about, as `extra` of a logging call: these become fields of a line of JSON."""
    named = {"integration": integration, "call": call, "delivery": delivery}
    return {name: value if isinstance(value, int) else str(value) for name, value in named.items() if value is not None}


def without(secrets: Iterable[str], text: str) -> str:
    """Return the text with every secret masked: as it is, percent-encoded, and as JSON or HTML would write it."""
    stripped = {secret.strip() for secret in secrets} - {""}
    for secret in sorted(stripped, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(secret, MASK)
        if not UNRESERVED.match(secret):
            text = _disguises(secret).sub(MASK, text)
    return text


@lru_cache(maxsize=256)
def _disguises(secret: str) -> re.Pattern[str]:
    """Return what matches the secret with any of its characters encoded."""
    return re.compile("".join(f"(?:{'|'.join(_forms(character))})" for character in secret))


def _forms(character: str) -> list[str]:
    """Return the ways to write one character, as patterns. Percent signs may have been encoded once more."""
    if UNRESERVED.match(character):
        return [character.replace(".", r"\.")]
    encoded = quote(character, safe="", errors="replace") if character != "/" else "%2F"
    percent = encoded.replace("%", "%(?:25)*")
    texts = {character, html.escape(character), json.dumps(character)[1:-1], f"&#{ord(character)};", f"\\u{ord(character):04x}"}
    texts |= {f"\\{character}"} | ({"+"} if character == " " else set())
    return [f"(?i:{percent})", *(f"(?i:{re.escape(text)})" for text in sorted(texts, key=len, reverse=True))]
