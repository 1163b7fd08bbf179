"""Log lines: as JSON for machines or as text for a terminal, and in neither anything of a person, nor a secret.

Lines of ours carry ids only; what is done here is for what other people's code says. An exception is shown by where it
happened: its own words may quote a customer's data (a database names the row that it refuses), so they are left out unless
the kind of exception is known to have none. Addresses lose their query and our own unguessable paths their token.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import InterfaceError, OperationalError

from integrations.secrets import MASK

FIELDS = ("integration", "delivery", "call", "worker", "task")  # ids that a line may carry (`extra=`)
OUR_ROOMS = ("events", "integrations", "nectorbridge")  # whose exceptions speak in words of ours
MOST_CAUSES = 5
SHORTEST_SECRET = 6
WITHHELD = "(its words are not logged: they may quote a customer's data)"

EMAIL = re.compile(r"[^\s@<>\"'(),;:=/]+@[^\s@<>\"'(),;]+\.[^\s@<>\"'(),;]+")
PHONE = re.compile(r"\+\d[\d \-]{6,16}\d")
QUERY = re.compile(r"(?<=[\w/•])\?[^\s\"']*=[^\s\"']*")
TOKEN_PATHS = re.compile(r"(/(?:callbacks/[^/\s]+|webhooks/nector|t/[oc]|integrations/invitation/join)/)[^/\s\"'?]+")
TRACEBACK = "Traceback (most recent call last):"
FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+), in (\S+)', re.MULTILINE)
KIND = re.compile(r"^([A-Za-z_][\w.]*)(?::.*)?$")


class TextFormatter(logging.Formatter):
    """A line for a person: time (UTC), level, logger, message; an exception below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        head = f"{_time(record)} {record.levelname} {record.name}: {message_of(record)}"
        return "\n".join([head, *_exception(record)])


class JsonFormatter(logging.Formatter):
    """One JSON object in one line: time, level, logger, message, ids, the process, and an exception as one text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            "process": record.process,
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                entry[name] = value if isinstance(value, int) else clean(str(value))
        if lines := _exception(record):
            entry["exception"] = "\n".join(lines)
        return json.dumps(entry, ensure_ascii=False)


def formatter() -> logging.Formatter:
    """Return the formatter that LOG_FORMAT names: for handlers that other programs make, such as the web server."""
    return JsonFormatter() if settings.LOG_FORMAT == "json" else TextFormatter()


def message_of(record: logging.LogRecord) -> str:
    """Return a record's message, cleaned. One whose arguments do not fit it is shown without them."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        text = str(record.msg)
    return clean(_without_traceback(text, record.name))


def clean(text: str) -> str:
    """Return a text without addresses of people, without what a web address carries behind its question mark, and secrets."""
    for secret in _secrets():
        text = text.replace(secret, MASK)
    text = TOKEN_PATHS.sub(rf"\1{MASK}", text)
    text = QUERY.sub(f"?{MASK}", text)
    return PHONE.sub(MASK, EMAIL.sub(MASK, text))


def words_of(error: BaseException) -> str:
    """Return what an exception says, where that can be nothing of a person's; otherwise say that it is left out."""
    if isinstance(error, (OperationalError, InterfaceError)):  # the database is away, locked or full
        return clean(next(iter(str(error).splitlines()), ""))
    if type(error).__module__.partition(".")[0] in OUR_ROOMS:
        return clean(str(error))
    if isinstance(error, OSError) and error.strerror:
        return clean(error.strerror)
    return WITHHELD if str(error) else ""


def _time(record: logging.LogRecord) -> str:
    """Return when it was logged: UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exception(record: logging.LogRecord) -> list[str]:
    """Return the lines of a record's exception and of what caused it, the last one first; and of its stack, if it has one."""
    lines: list[str] = []
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    for number, one in enumerate(islice(_causes(error), MOST_CAUSES)):
        kind = type(one).__name__ if type(one).__module__ == "builtins" else f"{type(one).__module__}.{type(one).__name__}"
        lines.append(f"{'caused by ' if number else ''}{kind}: {words_of(one)}".rstrip(": "))
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(one.__traceback__)]
    if record.stack_info:
        lines += [f"  {path}:{line} in {name}" for path, line, name in FRAME.findall(record.stack_info)]
    return lines


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what lies beneath it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _without_traceback(text: str, logger: str) -> str:
    """Return a message without the traceback that django-q2 writes into it, nor the exception's words before and after it."""
    if logger != "django-q" and TRACEBACK not in text:
        return text
    head, dash, told = text.partition(" - ")
    if not dash and TRACEBACK not in text:
        return text
    frames = [f"{path}:{line} in {name}" for path, line, name in FRAME.findall(told or text)]
    kinds = [match[1] for match in map(KIND.match, (told or text).strip().splitlines()[-1:]) if match]
    where = f"{' '.join(kinds)} at {frames[-1]}" if frames else WITHHELD
    return f"{head.partition(TRACEBACK)[0] if dash else 'An error'} - {where}"


@lru_cache(maxsize=1)
def _secrets() -> tuple[str, ...]:
    """Return the installation's own secrets, as they stand in its settings."""
    database = settings.DATABASES["default"]
    found = [
        settings.SECRET_KEY,
        *settings.FERNET_KEYS,
        *settings.TRACKING_KEYS,
        settings.METRICS_TOKEN,
        database.get("PASSWORD"),
        settings.EMAIL_HOST_PASSWORD,
    ]
    redis = urlsplit(settings.REDIS_URL).password if settings.REDIS_URL else ""
    found += [redis, unquote(redis or "")]
    return tuple(sorted({str(secret) for secret in found if len(str(secret or "")) >= SHORTEST_SECRET}, key=len, reverse=True))
