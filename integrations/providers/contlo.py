"""Contlo (SuperAGI Marketing): one event per `POST /v1/track`, contacts alone through `POST /v1/identify`.

Facts from developer.contlo.com: reference/track-api-1, reference/user-profiles, reference/sending-events; the bodies also from
Contlo's public SDKs. Contlo publishes no batch call, no rate, no time field on v1 and no de-duplication.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import contlo_guide as guide
from integrations.providers.attributes import attributes_of, news_of
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
from integrations.providers.contlo_answers import read_call, read_check, read_config
from integrations.providers.hosts import public_https
from integrations.providers.values import digest, dumps, e164_or_none, email_or_none, scalar

API_HOST = "https://api.contlo.com"
CHECK_HOST = "https://marketing.contlo.com"
TRACK, IDENTIFY = "/v1/track", "/v1/identify"
CHECK, CONFIG = "/api/integrations/zapier", "/v1/fetch_config"
KEY_HEADER = "X-API-KEY"
KEY_MAX_CHARACTERS = 200  # every key seen has 32; that is only a hint
EMAIL_MAX_CHARACTERS = 254  # RFC 5321
# reference/recording-customer-purchases- : revenue, marks the profile as a customer who paid.
# docs.contlo.com/docs/message-events: what Contlo records itself.
RESERVED_NAMES = """
Charged,
Email Sent, Email Delivered, Email Opened, Email Clicked, Email Bounced, Email Complained, Email Unsubscribed,
SMS Sent, SMS Clicked, SMS Failed, SMS Unsubscribed,
WhatsApp Sent, WhatsApp Opened, WhatsApp Clicked, WhatsApp Unsubscribed,
Push Clicked, Push Closed,
Mobile Push Sent, Mobile Push Received, Mobile Push Clicked, Mobile Push Dismissed
"""
NOT_LETTERS = re.compile(r"[\W_]+")
RESERVED = frozenset(NOT_LETTERS.sub("", name).lower() for name in RESERVED_NAMES.split(","))
RENAMED = {"event_type": "nector_event_type"}  # the SDKs' own mark of system, custom and Charged events
PLACE = ("city", "country", "zip")


class Contlo(Provider):
    """Contlo's track and identify contract."""

    slug = "contlo"
    label = "Contlo"
    category = guide.CATEGORY
    docs_url = "https://developer.contlo.com/reference/track-api-1"
    # One event a call. Contlo publishes neither a rate nor a size: twenty-four calls at once and a megabyte are our own measure.
    limits = Limits(records_per_call=1, bytes_per_call=1_000_000, calls_in_flight=24, bulk_in_flight=4)
    fields = guide.FIELDS
    identities = guide.IDENTITIES
    guide = guide.GUIDE

    def event_name(self, name: str) -> str:
        """Return the name trimmed, with `_` for spaces, as Contlo's SDKs send it; refuse empty and reserved names."""
        name = _spelled(name)
        if not name:
            raise InvalidName(_("Give the event a name."))
        if NOT_LETTERS.sub("", name).lower() in RESERVED:
            raise InvalidName(_("Contlo keeps the name “%(name)s” for itself. Choose another.") % {"name": name})
        return name

    def property_names(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Return the names as they leave: an object's members one by one, and none that Contlo's SDKs use themselves."""
        return {key: RENAMED.get(key, key) for key, _value in _flat(properties)}

    def clean(self, name: str, value: str) -> str:
        """Tidy a typed value: the key without spaces, the address as `https://` and a public host name."""
        value = value.strip()
        if name == "app_installed":
            return value.lower()
        if name == "host":
            return public_https(value)
        if re.search(r"\s", value):
            raise ValueError(_("There is a space inside. Copy the key again, without line breaks or spaces."))
        if not value or len(value) > KEY_MAX_CHARACTERS or not value.isascii() or not value.isprintable() or "://" in value:
            raise ValueError(_("This is no key. Copy the whole Private API Key from Contlo, and nothing else."))
        return value

    def identity(self, recipient: Mapping[str, Any], common_property: str) -> str | None:
        """Return the email address, or None where there is none of the right shape. Contlo knows customers by it alone."""
        email = email_or_none(recipient.get("email"))
        return email if email and len(email) <= EMAIL_MAX_CHARACTERS else None

    def verify_steps(self, account: Account) -> Generator[Request, Answer, Verification]:
        """Ask the documented key check; where that is gone, the configuration that the SDKs ask for."""
        if not account.base_url and not _is_public(account):
            reason = _("The API address is not one on the public internet.")
            return Verification(False, str(reason), str(guide.FIX_HOST))
        host = account.base_url.rstrip("/") or CHECK_HOST
        checked = read_check((yield Request("POST", f"{host}{CHECK}", **_auth(account))), account)
        if checked is not None:
            return checked
        return read_config((yield Request("GET", f"{host}{CONFIG}", **_auth(account))), account)

    def pack_events(self, account: Account, events: Sequence[Event], profiles: Mapping[str, Profile], now: datetime) -> Packed:
        """Pack the first event of each customer, one a call.

        A customer's events must not travel at the same time, so their later ones are left out: they stay claimed by
        nobody and go along with the next claim.
        """
        calls: dict[str, Call] = {}
        skipped: dict[str, str] = {}
        for event in events:
            if self.identity(event.recipient, account.common_property) is None:
                skipped[event.delivery_id] = str(_("The customer has no usable email address."))
            elif not event.name.strip():
                skipped[event.delivery_id] = str(_("The event has no name."))
            elif event.customer_ref not in calls:
                calls[event.customer_ref] = self._track(account, event, profiles.get(event.customer_ref))
        return Packed(tuple(calls.values()), skipped)

    def pack_contacts(self, account: Account, profiles: Iterable[Profile], now: datetime, bulk: bool = False) -> Packed:
        """Pack contacts alone, one a call; those with nothing new are left out."""
        calls = []
        for profile in profiles:
            data, record = self._profile(profile)
            if record is not None:
                calls.append(_call(account, IDENTIFY, _person(profile.recipient) | data, (record,)))
        return Packed(tuple(calls))

    def _track(self, account: Account, event: Event, profile: Profile | None) -> Call:
        """Return one event's call, with the profile if it is news. The profile of another address never goes along."""
        email = self.identity(event.recipient, account.common_property)
        if profile is not None and self.identity(profile.recipient, account.common_property) != email:
            profile = None
        body = {"event": _spelled(event.name)} | _person(profile.recipient if profile else event.recipient)
        body["properties"] = _properties(event)
        record = Record(delivery_id=event.delivery_id)
        if profile is None:
            return _call(account, TRACK, body, (record,))
        data, news = self._profile(profile)
        if news is None:
            return _call(account, TRACK, body, (record,))
        attributes = {key: value for key, value in data.items() if key != "custom_properties"}
        body["profile_properties"] = attributes | data.get("custom_properties", {})
        return _call(account, TRACK, body, (news, record))

    def _profile(self, profile: Profile) -> tuple[dict[str, Any], Record | None]:
        """Return what Contlo should know besides email and phone, and its record; None where there is nothing new."""
        data, person = _attributes(profile), _person(profile.recipient)
        identity = self.identity(profile.recipient, "email")
        own = data.get("custom_properties")
        profile_hash = digest({**person, **data} | ({"custom_properties": news_of(own)} if own else {}))
        if identity is None or not (data or "phone_number" in person) or profile_hash == profile.pushed_hash:
            return data, None
        return data, Record(customer_ref=profile.customer_ref, profile_hash=profile_hash)

    def read(self, call: Call, answer: Response) -> Reading:
        """Read one answer: `success` in the body decides, not the status alone."""
        return read_call(call, answer)


def _spelled(name: str) -> str:
    """Return a name as Contlo's SDKs send it: trimmed, with `_` for spaces."""
    return re.sub(r"\s", "_", name.strip())


def _is_public(account: Account) -> bool:
    """Tell whether the `host` setting, if any, may be called."""
    try:
        public_https(str(account.settings.get("host") or API_HOST))
    except ValueError:
        return False
    return True


def _host(account: Account) -> str:
    """Return scheme and host of the API. A setting that was never checked and names no public host is not called."""
    if account.base_url:
        return account.base_url.rstrip("/")
    return public_https(str(account.settings.get("host") or API_HOST)) if _is_public(account) else API_HOST


def _auth(account: Account) -> dict[str, Any]:
    """Return the documented headers, and which of them is secret."""
    headers = {KEY_HEADER: account.secrets.get("private_api_key", ""), "Accept": "application/json"}
    return {"headers": headers, "secret_headers": frozenset({KEY_HEADER})}


def _call(account: Account, path: str, body: Mapping[str, Any], records: tuple[Record, ...]) -> Call:
    """Return one call."""
    auth = _auth(account)
    auth["headers"]["Content-Type"] = "application/json"
    return Call(Request("POST", f"{_host(account)}{path}", body=dumps(body).encode(errors="replace"), **auth), records)


def _person(recipient: Mapping[str, Any]) -> dict[str, Any]:
    """Return email and phone; what is missing or has no country code is absent, never empty."""
    person = {"email": email_or_none(recipient.get("email")), "phone_number": e164_or_none(recipient.get("phone"))}
    return {key: value for key, value in person.items() if value}


def _attributes(profile: Profile) -> dict[str, Any]:
    """Return the rest of the profile. Consent is Contlo's own affair and never sent."""
    recipient = profile.recipient
    first, _space, last = str(recipient.get("name") or "").strip().partition(" ")
    data = {"first_name": recipient.get("first_name") or first, "last_name": recipient.get("last_name") or last}
    data |= {key: recipient.get(key) for key in PLACE}
    texts = {key: text for key, value in data.items() if (text := str(value or "").strip())}
    custom = recipient.get("custom")
    own = dict(_flat(custom)) if isinstance(custom, Mapping) else {}
    if customer_id := str(recipient.get("customer_id") or "").strip():
        own["nector_customer_id"] = customer_id
    own = attributes_of(profile, _iso) | {key: value for key, value in own.items() if value is not None}
    return texts | ({"custom_properties": own} if own else {})


def _properties(event: Event) -> dict[str, Any]:
    """Return flat event data without nulls. v1 has no field for the time or for an id, so both are properties."""
    data: dict[str, Any] = {"nector_delivery_id": event.delivery_id, "occurred_at": _iso(event.occurred_at)}
    for key, value in _flat(event.properties):
        if value is not None and key.strip():
            data.setdefault(RENAMED.get(key, key), value)
    return data


def _iso(moment: datetime) -> str:
    """Return a time in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield scalars: an object's keys joined by `_`, a list as JSON text. Whether Contlo takes nested data is not known."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}_")
        else:
            yield f"{prefix}{key}", scalar(value)


PROVIDER = Contlo()
