"""Reading what providers send back: plain values in, plain values out; whatever somebody may send, nothing is raised.

A provider's module reads its own documented shapes first; the generic form below is understood of every one. In it an item is
`{nector_delivery_id, event, id, email, phone, customer_id, occurred_at, campaign}`, alone, in a list, or under `events`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson
from django.utils.translation import gettext_lazy as _

from integrations.providers.values import clean_text

OPEN, CLICK, UNSUBSCRIBE, COMPLAINT = "open", "click", "unsubscribe", "complaint"
BOUNCE, DELIVERED, UNKNOWN, NOTHING = "bounce", "delivered", "unknown", ""
KINDS = (OPEN, CLICK, UNSUBSCRIBE, COMPLAINT, BOUNCE, DELIVERED)
LONGEST = 200  # characters of a text that is taken over
MOST_FIELDS = 200  # of a form
MOST_ITEMS = 10_000  # of a body
MILLISECONDS = 10**11  # an epoch time beyond it is one of milliseconds
LATEST = 4_102_444_800  # seconds: the year 2100
# Words of any provider, the first that fits: “Email Opened”, `link_clicked`, `MOE_CARD_VIEWED`. Whole words, or their ends where
# they are written in one: “Review Submitted” is no view, and “Already Bought” nothing that was read.
WORDS: tuple[tuple[str, str], ...] = (
    (r"control", NOTHING),
    (r"unsubscribe[sd]?|optout|optedout", UNSUBSCRIBE),
    (r"complain\w*|complaint|spam", COMPLAINT),
    (r"bounce[sd]?|bouncing", BOUNCE),
    (r"fail\w*|drop\w*|defer\w*", NOTHING),
    (r"click|clicks|clicked", CLICK),
    (r"open|opens|opened|read|view|views|viewed", OPEN),
    (r"delivered|delivery|received|impressions?", DELIVERED),
    (r"sent|send|repl\w*|dismiss\w*|cleared", NOTHING),
)
IN_ONE = re.compile(r"(opened|clicked|viewed|unsubscribed?|bounced|complained|delivered)$")  # “emailopened”
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
CHANNELS = ("email", "sms", "whatsapp")
NAMES_OF_KIND = ("event", "kind", "event_name", "event_code", "type")
NAMES_OF_ID = ("id", "event_id", "event_uuid", "uuid", "message_id")
NAMES_OF_TIME = ("occurred_at", "event_time", "timestamp", "time", "ts", "created_at")
NAMES_OF_PERSON = ("email", "recipientemail", "email_id", "phone", "mobile", "mobile_number", "customer_id", "identity", "uid")
DELIVERY_ID = "nector_delivery_id"


GENERIC_BODY = """{
  "nector_delivery_id": "...",
  "event": "click",
  "occurred_at": "2026-03-10T09:30:00Z",
  "email": "asha@example.com",
  "id": "an id of this click"
}"""


class Unreadable(ValueError):
    """A body in which nothing can be read. The message says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class CallbackItem:
    """One thing that a provider tells. `kind` is one of `KINDS`, `unknown`, or empty for what is known and not counted.

    `word` is the provider's own; `once` its id of this very happening; `people` whose it may be (email, phone, customer id);
    `occurred_at` is aware, None where it is not told. `channel` is `email`, `sms` or `whatsapp`, where that is told.
    `is_foreign`: it is about a message that no event of ours started.
    """

    kind: str
    word: str = ""
    delivery_id: str = ""
    once: str = ""
    occurred_at: datetime | None = None
    people: tuple[str, ...] = ()
    campaign: str = ""
    is_machine: bool = False
    channel: str = ""
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class ComingBack:
    """How opens and clicks come back: what staff do at the provider, for which kinds an address of its own, what is sent."""

    steps: tuple[Any, ...] = (
        _("No such webhook is documented by this provider. Where yours can call an address, have it POST the form below."),
        _("Without one, opens and clicks come back by the tracked link and the picture in the message."),
    )
    kinds: tuple[str, ...] = ()
    body: str = GENERIC_BODY
    note: Any = ""


def read_body(raw: bytes, content_type: str = "") -> Any:
    """Return a body's objects: JSON, or a form as one object. Raises Unreadable."""
    if "form-urlencoded" in content_type.lower():
        try:
            return dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        except ValueError:
            raise Unreadable("The form has too many fields.") from None
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = _lenient(raw)
    if not isinstance(found, (dict, list)):
        raise Unreadable("The body is JSON, but neither an object nor a list.")
    return found


def _lenient(raw: bytes) -> Any:
    """Read what only Python's own reader takes: NaN, halves of surrogate pairs."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Unreadable("The body is neither JSON nor a form.") from None


def kind_of(word: str) -> str:
    """Return what a provider's word stands for; `unknown` where nobody knows."""
    said = re.findall(r"[a-z]+", CAMEL.sub(" ", word).lower().replace("opt-out", "optout").replace("opt_out", "optout"))
    said += [found.group(1) for token in said if (found := IN_ONE.search(token))]
    return next((kind for pattern, kind in WORDS if any(re.fullmatch(pattern, token) for token in said)), UNKNOWN)


def channel_in(word: str) -> str:
    """Return the channel that a word names, empty where it names none."""
    return next((channel for channel in CHANNELS if channel in word.lower()), "")


def generic(kind: str, body: Any) -> list[CallbackItem]:
    """Read the generic form. `kind` is the one that the address names; it decides, where it is given."""
    return [item for found in objects(body, "events") if (item := _generic_item(kind, found)) is not None]


def _generic_item(kind: str, found: Mapping[str, Any]) -> CallbackItem | None:
    """Return one item of the generic form."""
    mine = lowered(found)
    word = first_text(mine, NAMES_OF_KIND)
    return CallbackItem(
        kind=kind or kind_of(word),
        word=word or kind,
        delivery_id=first_text(mine, (DELIVERY_ID, "delivery_id")),
        once=first_text(mine, NAMES_OF_ID),
        occurred_at=first_moment(mine, NAMES_OF_TIME),
        people=people(mine, NAMES_OF_PERSON),
        campaign=first_text(mine, ("campaign", "campaign_name")),
        is_machine=is_true(mine.get("is_machine")),
        channel=channel_in(text(mine.get("channel"))),
    )


def objects(body: Any, *names: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a body: itself, those of a list, or those under one of these names (of any case)."""
    if isinstance(body, dict):
        mine = lowered(body)
        inner = next((mine[name] for name in names if isinstance(mine.get(name), (list, dict))), None)
        body = body if inner is None else inner
    listed = body if isinstance(body, list) else [body]
    yield from (item for item in listed[:MOST_ITEMS] if isinstance(item, dict))


def lowered(found: Any) -> dict[str, Any]:
    """Return an object with its names in lower case; of anything else an empty one."""
    return {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}


def text(value: Any) -> str:
    """Return a value as a short clean text; of an object or a list an empty one."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return clean_text(str(value)[: 2 * LONGEST]).strip()[:LONGEST]


def first_text(found: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the first of these values that says anything."""
    return next((said for name in names if (said := text(found.get(name)))), "")


def people(found: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """Return whose it may be, as it is written (an id may tell capitals apart), each once."""
    return tuple(dict.fromkeys(said for name in names if (said := text(found.get(name)))))


def is_true(value: Any) -> bool:
    """Tell whether a value says yes, also as the text that some providers make of it."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "1", "yes"))


def first_moment(found: Mapping[str, Any], names: Sequence[str]) -> datetime | None:
    """Return the first of these values that is a time."""
    return next((at for name in names if (at := moment(found.get(name))) is not None), None)


def moment(value: Any) -> datetime | None:
    """Return a time: epoch seconds or milliseconds, also as text, or ISO 8601 (without a zone: UTC)."""
    said = text(value)
    try:
        seconds = float(said)
    except ValueError:
        return _iso(said)
    seconds = seconds / 1000 if seconds > MILLISECONDS else seconds
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < LATEST else None


def _iso(said: str) -> datetime | None:
    """Return an ISO 8601 time."""
    try:
        found = datetime.fromisoformat(said.replace("Z", "+00:00"))
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
