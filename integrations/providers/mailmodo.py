"""Mailmodo: one event per `POST /api/v1/addEvent`, contacts on a list one at a time or up to a hundred.

Facts from Mailmodo's OpenAPI documents at developers.mailmodo.com ("Custom Events", "Contact Management") and its pricing page
(requests a second). Mailmodo publishes no batch of events, no de-duplication, no reserved names, and neither sizes nor calls at
once beyond one batch of contacts at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import mailmodo_callbacks
from integrations.providers import mailmodo_guide as guide
from integrations.providers.base import (
    Account,
    Answer,
    Call,
    Event,
    InvalidName,
    Limits,
    Packed,
    Profile,
    Provider,
    Reading,
    Record,
    Request,
    Response,
    Verification,
)
from integrations.providers.callbacks import CallbackItem
from integrations.providers.mailmodo_answers import BATCH, read_call, read_check
from integrations.providers.mailmodo_contacts import Contact, batches, contacts
from integrations.providers.mailmodo_values import address, properties
from integrations.providers.values import dumps

API_HOST = "https://api.mailmodo.com"
EVENT, ADD, LISTS = "/api/v1/addEvent", "/api/v1/addToList", "/api/v1/getAllContactLists"
KEY_HEADER = "mmApiKey"
ADDRESS = re.compile(r"://|mailmodo\.com", re.IGNORECASE)
KEY_MAX_CHARACTERS = 200  # every key seen is four groups of seven, 31 in all; that is only a hint
LIST_NAME_MAX_CHARACTERS = 200  # ours: nothing is published
# mailmodo.com/pricing: 5 (Lite), 10 (Pro), 50 (Max) requests a second, for the account's key as a whole.
DEFAULT_RATE, SLOWEST_RATE, HIGHEST_RATE = 5.0, 0.1, 50.0


class Mailmodo(Provider):
    """Mailmodo's event and contact contract."""

    slug = "mailmodo"
    label = "Mailmodo"
    category = guide.CATEGORY
    docs_url = "https://developers.mailmodo.com"
    # One event a call. Bytes and calls at once are our own measure; a hundred contacts, one such call at a time, is published.
    limits = Limits(records_per_call=1, bytes_per_call=1_000_000, calls_in_flight=32, contacts_per_call=100, bulk_in_flight=1)
    fields = guide.FIELDS
    identities = guide.IDENTITIES
    forgetting = guide.FORGETTING
    guide = guide.GUIDE
    coming_back = mailmodo_callbacks.COMING_BACK
    identify_first = True  # whether addEvent makes a contact is not stated, so the contact is on the list before
    fills_list = True
    channel = "email"
    holds_attributes = True

    def parse_callback(self, kind: str, body: Any) -> Sequence[CallbackItem]:
        """Read what it sent back."""
        return mailmodo_callbacks.parse(kind, body)

    def calls_per_second(self, account: Account) -> float | None:
        """Return the plan's rate as it was entered; Lite's where nothing usable was."""
        return min(_rate(account.settings.get("requests_per_second")) or DEFAULT_RATE, HIGHEST_RATE)

    def event_name(self, name: str) -> str:
        """Return the name trimmed; refuse an empty one. Mailmodo publishes no other rule."""
        if not name.strip():
            raise InvalidName(_("Give the event a name."))
        return name.strip()

    def clean(self, name: str, value: str) -> str:
        """Tidy a typed value. Raises ValueError that says what to do."""
        value = value.strip()
        if name == "list_name":
            return _clean_list_name(value)
        if name == "requests_per_second":
            return _clean_rate(value)
        if re.search(r"\s", value):
            raise ValueError(_("There is a space inside. Copy the key again, without line breaks or spaces."))
        if (
            not value
            or len(value) > KEY_MAX_CHARACTERS
            or not value.isascii()
            or not value.isprintable()
            or ADDRESS.search(value)
        ):
            raise ValueError(_("This is no key. In Mailmodo click Show API Key, copy the whole key, and nothing else."))
        return value

    def identity(self, recipient: Mapping[str, Any], common_property: str) -> str | None:
        """Return the email address in lower case, or None where there is none of the right shape."""
        return address(recipient)

    def verify_steps(self, account: Account) -> Generator[Request, Answer, Verification]:
        """Ask for the account's lists: only a key that Mailmodo knows gets them. What is blank is said without asking."""
        if not account.secrets.get("api_key", "").strip():
            return Verification(False, str(_("The API key is missing.")), str(guide.FIX_KEY))
        if not _list_name(account):
            return Verification(False, str(_("The List Name is missing.")), str(guide.FIX_LIST))
        return read_check((yield Request("GET", f"{_host(account)}{LISTS}", **_auth(account))), _list_name(account))

    def pack_events(self, account: Account, events: Sequence[Event], profiles: Mapping[str, Profile], now: datetime) -> Packed:
        """Pack the first event of each customer, one a call; profiles have calls of their own.

        A customer's events must not travel at the same time, so their later ones are left out: they stay claimed by
        nobody and go along with the next claim.
        """
        calls: dict[str, Call] = {}
        skipped: dict[str, str] = {}
        for event in events:
            if address(event.recipient) is None:
                skipped[event.delivery_id] = str(_("The customer has no usable email address."))
            elif not event.name.strip():
                skipped[event.delivery_id] = str(_("The event has no name."))
            elif event.customer_ref not in calls:
                call = _call(account, EVENT, _event(event), (Record(delivery_id=event.delivery_id),))
                if len(call.request.body) > self.limits.bytes_per_call:
                    skipped[event.delivery_id] = str(_("The event's properties are larger than a megabyte."))
                else:
                    calls[event.customer_ref] = call
        return Packed(tuple(calls.values()), skipped)

    def pack_contacts(self, account: Account, profiles: Iterable[Profile], now: datetime, bulk: bool = False) -> Packed:
        """Pack contacts alone; those with nothing new are left out.

        One who has just arrived goes alone, which starts journeys of the kind "contact added to list"; everybody in `bulk`,
        and whoever is on the list already, goes with others in a call that starts none.
        """
        list_name = _list_name(account)
        found = contacts(profiles, list_name)
        alone = [] if bulk else [contact for contact in found if not contact.is_known]
        together = found if bulk else [contact for contact in found if contact.is_known]
        calls = [_single(account, contact, list_name) for contact in alone]
        calls += [_batch(account, batch, list_name) for batch in batches(together, self.limits)]
        return Packed(tuple(calls))

    def read(self, call: Call, answer: Response) -> Reading:
        """Read one answer: the body decides, not the status alone."""
        return read_call(call, answer)


def _host(account: Account) -> str:
    """Return scheme and host of the API."""
    return account.base_url.rstrip("/") or API_HOST


def _list_name(account: Account) -> str:
    """Return the name of the list that holds the customers."""
    return str(account.settings.get("list_name") or "").strip()


def _auth(account: Account) -> dict[str, Any]:
    """Return the documented headers, and which of them is secret."""
    headers = {KEY_HEADER: account.secrets.get("api_key", ""), "Accept": "application/json"}
    return {"headers": headers, "secret_headers": frozenset({KEY_HEADER})}


def _call(account: Account, path: str, body: Mapping[str, Any], records: tuple[Record, ...]) -> Call:
    """Return one call."""
    auth = _auth(account)
    auth["headers"]["Content-Type"] = "application/json"
    return Call(Request("POST", f"{_host(account)}{path}", body=dumps(body).encode(errors="replace"), **auth), records)


def _event(event: Event) -> dict[str, Any]:
    """Return one event. The time is in whole epoch seconds; without it Mailmodo takes the time of arrival."""
    body: dict[str, Any] = {"email": address(event.recipient), "event_name": event.name.strip()}
    seconds = math.floor(event.occurred_at.timestamp())
    if seconds > 0:
        body["ts"] = seconds
    return body | {"event_properties": properties(event.delivery_id, event.properties)}


def _single(account: Account, contact: Contact, list_name: str) -> Call:
    """Return the call that adds one contact."""
    value = contact.value
    body = {"email": value["email"], "listName": list_name} | {key: value[key] for key in ("data",) if key in value}
    return _call(account, ADD, body, tuple(contact.records))


def _batch(account: Account, batch: Sequence[Contact], list_name: str) -> Call:
    """Return the call that adds many contacts. One address may stand for several customers."""
    body = {"listName": list_name, "values": [contact.value for contact in batch]}
    call = _call(account, BATCH, body, tuple(record for contact in batch for record in contact.records))
    return replace(call, is_bulk=True)


def _clean_list_name(value: str) -> str:
    """Return a list's name that can be shown on one line."""
    if not value:
        raise ValueError(_("Enter a List Name, for example “Nector Customers”."))
    if not value.isprintable():
        raise ValueError(_("There is a line break or an invisible character inside. Type the name again, on one line."))
    if len(value) > LIST_NAME_MAX_CHARACTERS:
        raise ValueError(_("This name is too long. Use at most %(count)d characters.") % {"count": LIST_NAME_MAX_CHARACTERS})
    return value


def _rate(value: Any) -> float | None:
    """Return a stored or typed rate as a number above zero, or None where it is none."""
    try:
        rate = float(str(value).strip())
    except ValueError:
        return None
    return max(rate, SLOWEST_RATE) if math.isfinite(rate) and rate > 0 else None


def _clean_rate(value: str) -> str:
    """Return the plan's rate, as short as it can be written."""
    rate = _rate(value)
    if rate is None or rate > HIGHEST_RATE:
        raise ValueError(_("Enter how many requests a second your plan allows: 5 (Lite), 10 (Pro) or 50 (Max)."))
    return f"{rate:g}"


PROVIDER = Mailmodo()
