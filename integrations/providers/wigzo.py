"""Wigzo (Shiprocket Engage 360): one event per `POST /rest/v1/learn/event`, each customer first through `learn/identify`.

Wigzo publishes no reference. Facts from the Engage 360 API guide and OpenAPI (github.com/lakshaysaini94/apidoc, 2025-06-16),
matched by Wigzo's own WordPress plugin (github.com/common-repository/wigzo, 3.1.6) and SDKs (github.com/pleomax00/wigzosdks).
There is no batch call, no time field, no de-duplication and no published rate. An event names its customer by a UUIDv4 of our
own making, and Wigzo must have been told before whose that is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from integrations.providers import wigzo_guide as guide
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
from integrations.providers.hosts import public_https
from integrations.providers.values import digest, dumps, email_or_none
from integrations.providers.wigzo_answers import read_call, read_check
from integrations.providers.wigzo_bodies import event_body, identify_body

EVENT, IDENTIFY = "/rest/v1/learn/event", "/rest/v1/learn/identify"
EMAIL_MAX_CHARACTERS = 254  # RFC 5321
TOKEN_MAX_CHARACTERS = 500  # no length is published; a longer text is a pasted page
# Stands for the stored id where a request is only shown (the preview of an event). Nobody is identified by it.
SAMPLE_REMOTE_ID = "00000000-0000-4000-8000-000000000000"
NOBODY = "nectorbridge@example.com"  # RFC 2606; only where a check is run without the merchant's address
# The guide's README, the plugin, the SDKs' EventType: names with a meaning of Wigzo's own.
RESERVED_NAMES = """
product_view order_completed checkout_started addtocart buy order view search wishlist removedfromcart review registered
loggedin loggedout share like rate book checkout item join listen watch watchlater other addtoplaylist addtowishlist
cart_value identify index
"""
SEPARATORS = re.compile(r"[\s_-]+")
RESERVED = frozenset(SEPARATORS.sub("", name) for name in RESERVED_NAMES.split())


class Wigzo(Provider):
    """Wigzo's learn/identify and learn/event contract."""

    slug = "wigzo"
    label = "Wigzo"
    category = guide.CATEGORY
    docs_url = "https://github.com/lakshaysaini94/apidoc"
    # One event a call. Neither rate nor size is published: twenty-four calls at once and a megabyte are our own measure.
    limits = Limits(records_per_call=1, bytes_per_call=1_000_000, calls_in_flight=24)
    fields = guide.FIELDS
    identities = guide.IDENTITIES
    guide = guide.GUIDE
    identify_first = True
    holds_attributes = False  # learn/identify has a fixed list of fields

    def new_remote_id(self) -> str:
        """Return a random UUIDv4, the only kind that Wigzo takes as `userId`."""
        return str(uuid.uuid4())

    def event_name(self, name: str) -> str:
        """Return the name trimmed; refuse empty ones and those that mean something to Wigzo, however they are spelled."""
        name = name.strip()
        if not name:
            raise InvalidName(_("Give the event a name."))
        if SEPARATORS.sub("", name).lower() in RESERVED:
            raise InvalidName(_("“%(name)s” has a meaning of its own in Wigzo. Choose another name.") % {"name": name})
        return name

    def clean(self, name: str, value: str) -> str:
        """Tidy a typed value: tokens whole and nothing else, the address as `https://` and a public host name."""
        value = value.strip()
        if name == "host":
            return public_https(value)
        if problem := token_problem(value):
            raise ValueError(problem)
        return value

    def identity(self, recipient: Mapping[str, Any], common_property: str) -> str | None:
        """Return the email address, or None where there is none of the right shape: Wigzo's guide offers Email alone."""
        email = email_or_none(recipient.get("email"))
        return email if email and len(email) <= EMAIL_MAX_CHARACTERS else None

    def verify_steps(self, account: Account) -> Generator[Request, Answer, Verification]:
        """Look at the tokens, then write the merchant's own test profile: Wigzo has nothing that could only be read."""
        refused = _local_refusal(account)
        if refused is not None:
            return refused
        probe = {"email": account.contact_email or NOBODY}
        body = identify_body(account.probe_id or SAMPLE_REMOTE_ID, probe)
        return read_check((yield _request(account, IDENTIFY, body)))

    def pack_events(self, account: Account, events: Sequence[Event], profiles: Mapping[str, Profile], now: datetime) -> Packed:
        """Pack the first event of each customer, one a call.

        A customer's events must not travel at the same time, so their later ones are left out: they stay claimed by nobody
        and go along with the next claim. Profiles go in calls of their own (`pack_contacts`), before.
        """
        calls: dict[str, Call] = {}
        skipped: dict[str, str] = {}
        for event in events:
            email = self.identity(event.recipient, account.common_property)
            if email is None:
                skipped[event.delivery_id] = str(_("The customer has no usable email address."))
            elif not event.name.strip():
                skipped[event.delivery_id] = str(_("The event has no name."))
            elif event.customer_ref not in calls:
                body = event_body(event, event.remote_id or SAMPLE_REMOTE_ID, email)
                calls[event.customer_ref] = Call(_request(account, EVENT, body), (Record(delivery_id=event.delivery_id),))
        return Packed(tuple(calls.values()), skipped)

    def pack_contacts(self, account: Account, profiles: Iterable[Profile], now: datetime, bulk: bool = False) -> Packed:
        """Pack contacts, one a call (there is no call for many); those with nothing new, or no email, are left out."""
        calls = []
        for profile in profiles:
            if not profile.remote_id or self.identity(profile.recipient, account.common_property) is None:
                continue
            body = identify_body(profile.remote_id, profile.recipient)
            profile_hash = digest(body)
            if profile_hash != profile.pushed_hash:
                record = Record(customer_ref=profile.customer_ref, profile_hash=profile_hash)
                calls.append(Call(_request(account, IDENTIFY, body), (record,)))
        return Packed(tuple(calls))

    def read(self, call: Call, answer: Response) -> Reading:
        """Read one answer: the status first, and below 300 the body's marks of an error."""
        return read_call(call, answer)


def token_problem(value: str) -> str:
    """Return what is wrong with the shape of a token, in words, or nothing. Lengths and alphabets are only hints."""
    if not value:
        return str(_("The token is empty. Copy it again."))
    if "://" in value or value.lower().startswith("www."):
        return str(_("This is an address, not a token. Copy the token alone, without the address around it."))
    if re.search(r"\s", value):
        return str(_("There is a space inside. Copy the token again, without line breaks or spaces."))
    if not value.isascii() or not value.isprintable() or len(value) > TOKEN_MAX_CHARACTERS:
        return str(_("This is no token. Copy it again from Wigzo, whole and with nothing else."))
    return ""


def _local_refusal(account: Account) -> Verification | None:
    """Return the end of a check whose values cannot be right; no call is made for it."""
    tokens = {name: account.secrets.get(name, "").strip() for name in guide.FIXES}
    for name, value in tokens.items():
        if problem := token_problem(value):
            return Verification(False, f"{guide.LABELS[name]}: {problem}", str(guide.FIXES[name]))
    if tokens["org_token"] == tokens["api_token"]:
        return Verification(False, str(_("Org token and API token are the same value.")), str(guide.FIX_SAME))
    if not account.base_url and not _is_public(account):
        return Verification(False, str(_("The API address is not one on the public internet.")), str(guide.FIX_HOST))
    return None


def _is_public(account: Account) -> bool:
    """Tell whether the `host` setting, if any, may be called."""
    try:
        public_https(str(account.settings.get("host") or guide.HOST))
    except ValueError:
        return False
    return True


def _host(account: Account) -> str:
    """Return scheme and host of the API. A setting that was never checked and names no public host is not called."""
    if account.base_url:
        return account.base_url.rstrip("/")
    return public_https(str(account.settings.get("host") or guide.HOST)) if _is_public(account) else guide.HOST


def _request(account: Account, path: str, body: Mapping[str, Any]) -> Request:
    """Return one request. Wigzo wants both tokens in the query, `org_token` with an underscore, in this order."""
    tokens = {"token": account.secrets.get("api_token", "").strip(), "org_token": account.secrets.get("org_token", "").strip()}
    return Request(
        "POST",
        f"{_host(account)}{path}?{urlencode(tokens)}",
        {"Content-Type": "application/json", "Accept": "application/json"},
        dumps(body).encode(errors="replace"),
        secret_params=frozenset(tokens),
    )


PROVIDER = Wigzo()
