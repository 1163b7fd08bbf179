"""What a webhook says, whatever its shape: Nector's webhooks carry a record with its customer, its events flat keys. Pure.

Keys follow the provider sheet: what Nector documents, and what public readers of its webhooks and its own SDK look for. Unknown
keys are left alone, and nothing is taken for granted: every value may be missing, a number, or text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import phonenumbers
import pycountry

from events.states import Portal
from integrations.providers.values import clean_text, email_or_none
from nectorbridge.loyalty.nector import values

# Nector puts the source in front of a store's own ID, and not always in the same way.
SOURCES = ("shopify", "woocommerce", "magento", "bigcommerce", "custom_website", "custom")
PREFIX = re.compile(rf"^(?:(?:{'|'.join(SOURCES)})-)+", re.IGNORECASE)
PORTALS: Mapping[str, str] = {
    "web": Portal.ONLINE_STORE,
    "online_store": Portal.ONLINE_STORE,
    "website": Portal.ONLINE_STORE,
    "pos": Portal.POS,
    "mobile": Portal.APP,
    "app": Portal.APP,
    "android": Portal.APP,
    "ios": Portal.APP,
    "iphone": Portal.APP,
}  # what is called otherwise, as a server's own "unix", is unknown
SHORTEST_PHONE = 4


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a webhook is about, as far as it says. `customer_id` is the store's own, `nector_id` as it was written."""

    nector_id: str = ""
    customer_id: str = ""
    email: str = ""
    phone: str = ""
    name: str = ""
    tier: str = ""
    referral_code: str = ""

    def __bool__(self) -> bool:
        """Tell whether it names anybody."""
        return bool(self.customer_id or self.email or self.phone or self.referral_code)


def own_id(written: str) -> str:
    """Return a store's own ID of something, without the sources in front of it."""
    return PREFIX.sub("", written) or written


def ways_to_write(own: str) -> list[str]:
    """Return how a customer of this ID may have been written down: with none of the sources in front, or with one."""
    return [own, *(f"{source}-{own}" for source in SOURCES), f"custom_website-custom-{own}"]


class Record:
    """One webhook's body, read by any of the names that a value may have."""

    def __init__(self, topic: str, body: Mapping[str, Any]) -> None:
        """Read this body. In the form for merchants' own platforms the record is under `data`."""
        data = body.get("data")
        self.topic = topic
        self.body = body
        self.fields: Mapping[str, Any] = data if isinstance(data, Mapping) and "topic" in body else body

    # --- Values -------------------------------------------------------------------------------------------------------
    def raw(self, *names: str) -> Any:
        """Return the first of these that is there, looked for in the record and then in its `meta`; None without any."""
        for place in (self.fields, self.fields.get("meta")):
            if isinstance(place, Mapping):
                for name in names:
                    if (value := place.get(name)) not in (None, ""):
                        return value
        return None

    def text(self, *names: str, longest: int = 200) -> str:
        """Return a value as text, empty where it is missing or none."""
        return values.text(self.raw(*names), longest)

    def number(self, *names: str) -> Decimal | None:
        """Return a value as a number, also where it was written as text."""
        return values.number(self.raw(*names))

    def whole(self, *names: str) -> int | None:
        """Return a value as a whole number; a fraction of a coin is cut off."""
        found = self.number(*names)
        return None if found is None else int(found)

    def moment(self, *names: str) -> datetime | None:
        """Return a value as a time: ISO 8601 (without a zone it is UTC), or a unix time in seconds or milliseconds."""
        return values.moment(self.raw(*names), UTC)

    def yes(self, *names: str) -> bool:
        """Tell whether a value says yes."""
        value = self.raw(*names)
        return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "1")) or value == 1

    @property
    def key(self) -> str:
        """Return Nector's own key of the record, empty where it does not say one."""
        return self.text("_id", "id", "hash")

    @property
    def as_of(self) -> datetime | None:
        """Return the time of the change, where the record says it."""
        return self.moment("updated_at", "modified_at", "created_at")

    def portal(self, header: str) -> str:
        """Return where it happened: what the record says, otherwise who called Nector."""
        own = self.text("portal", "source_name", "source", "channel", "payment_source").lower()
        return PORTALS.get(own) or PORTALS.get(header.lower(), "")

    # --- The customer -------------------------------------------------------------------------------------------------
    def person(self) -> Person:
        """Return whom it is about."""
        for name in ("customer", "lead", "user"):
            for place in (self.fields, self.body):
                found = place.get(name)
                if isinstance(found, Mapping):
                    return _person(found, is_lead=True)
        flat = {key[len("user_") :]: value for key, value in self.fields.items() if key.startswith("user_")}
        if flat:
            return _person(flat, is_lead=True)
        return _person(self.fields, is_lead=self.topic.startswith("lead_"))

    def properties(self) -> dict[str, str | int | float | bool]:
        """Return what it says as flat properties: for topics of which no row is made. Common fields are left out."""
        return dict(_flat(self.fields, ""))


def _person(found: Mapping[str, Any], is_lead: bool) -> Person:
    """Return a person. Of a record that is no lead, only what certainly is a customer's is taken."""

    def text(*names: str) -> str:
        return next((said for name in names if (said := values.text(found.get(name), 200))), "")

    written = text("customer_id", *(("id",) if is_lead else ()))[:160]
    name = text("name") or " ".join(filter(None, (text("first_name"), text("last_name")))) if is_lead else ""
    return Person(
        nector_id=written,
        customer_id=own_id(written)[:128],
        email=_email(text("email")),
        phone=phone(text("mobile", "phone"), text("country")),
        name=name,
        tier=text("tier")[:60] if is_lead else "",
        referral_code=text("referral_code")[:60] if is_lead else "",
    )


def _email(said: str) -> str:
    """Return an email; a masked one, as Nector's API shows them, names nobody."""
    return (email_or_none(said) or "") if "*" not in said else ""


def phone(said: str, country: str = "") -> str:
    """Return a mobile number in E.164, with the dialling code of `country` (ISO 3166, three or two letters) where it has none.

    One that cannot be read so is taken as it is, if it is a number at all; a masked one names nobody.
    """
    digits = re.sub(r"[\s().-]", "", said)
    if "*" in said or not re.fullmatch(r"\+?\d+", digits) or len(digits) < SHORTEST_PHONE or len(digits) > 16:
        return ""
    try:
        number = phonenumbers.parse(digits, _region(country.strip().upper()))
    except phonenumbers.NumberParseException:
        return digits
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def _region(country: str) -> str | None:
    """Return a country's two letters, for its two or three."""
    if len(country) not in (2, 3):
        return None
    found = pycountry.countries.get(alpha_3=country) if len(country) == 3 else pycountry.countries.get(alpha_2=country)
    return found.alpha_2 if found else None


COMMON = ("business_", "user_", "nector_")
PEOPLE = frozenset({"customer", "lead", "user", "topic", "meta"})


def _flat(fields: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield values by their path, one level deep; lists and what is nested deeper say nothing to a journey."""
    for key, value in fields.items():
        name = f"{prefix}{clean_text(key)}"[:100]
        if name.startswith(COMMON) or (not prefix and key in PEOPLE):
            continue
        if isinstance(value, Mapping) and not prefix:
            yield from _flat(value, f"{name}_")
        elif isinstance(value, (str, int, float, bool)):
            yield name, value[:1000] if isinstance(value, str) else value
