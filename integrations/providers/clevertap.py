"""CleverTap: events and profiles through `POST /1/upload`, credentials checked through `GET /v1/connect`.

Facts from developer.clevertap.com: docs/upload-events-api, docs/api-errors, docs/common-api-components (regions),
docs/api-request-limit, docs/authentication; recorded answers from CleverTap's public client libraries.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from integrations.providers import clevertap_callbacks
from integrations.providers import clevertap_guide as guide
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
from integrations.providers.batching import Batch, Part, batches
from integrations.providers.callbacks import CallbackItem
from integrations.providers.clevertap_answers import read_connect, read_refusal, read_upload
from integrations.providers.values import cut_utf8, digest, dumps, e164_or_none, email_or_none, epoch_of_iso, scalar

# docs/common-api-components: Europe is the default and has no prefix of its own.
HOSTS = {prefix: f"https://{prefix}.api.clevertap.com" for prefix in ("in1", "sg1", "us1", "aps3", "mec1")}
HOSTS |= dict.fromkeys(("eu1", "global", ""), "https://api.clevertap.com")
DASHBOARD_HOST = re.compile(r"^([a-z0-9]+)\.dashboard\.clevertap\.com$")

# Seen, never published as a rule; passcodes have been seen in the same shape, without the prefix of test projects.
ACCOUNT_ID = re.compile(r"^(TEST-)?[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{3,4}\Z")

IDENTITY_MAX_CHARACTERS = 1024
# docs/csv-upload: values that never name a person.
NOT_AN_IDENTITY = frozenset(
    [
        "undefined",
        "null",
        "na",
        "n/a",
        "0",
        "nil",
        "-1",
        "infinity",
        "-infinity",
        "inf",
        "-inf",
        "nan",
        "-nan",
        "empty",
        "xxxxxx",
        "none",
    ]
)
KEY_MAX_BYTES = 120
VALUE_MAX_BYTES = 512
SHORT_ENOUGH = VALUE_MAX_BYTES // 4  # characters that fit whatever they are: UTF-8 takes four bytes at most
OWN_PROPERTIES = ("nector_click_url", "nector_open_url")  # never absent: a missing one can drop a whole message
PROPERTIES_MAX = 100  # per event by default; older pages say 256, which newer accounts refuse
NAME_MAX_CHARACTERS = 512
PROHIBITED = re.compile(r"[%><!|&.:;$'\"\\]")
PROFILE_PROHIBITED = re.compile(r"[%><!|&.:;$'\"\\#]")
RESERVED_NAMES = (
    "Notification Sent, Notification Viewed, Notification Clicked, Notification Delivered, Notification Replied,"
    "UTM Visited, App Launched, App Uninstalled, App Version Changed, Stayed, Reply Sent, Experiment Rendered,"
    "Reachable By, Identity Reset, Identity Set, Identity Error, Web Page Viewed, CT Coupon Rewarded,"
    "CT Coupon Redeemed, CT Coupon Reverted, CT Points Credited, CT Points Debited, CT Partner Voucher Rewarded"
)
# CleverTap compares names without case and spaces.
RESERVED = frozenset(name.replace(" ", "").lower() for name in RESERVED_NAMES.split(","))

PARTNER = "nector"


class CleverTap(Provider):
    """CleverTap's upload contract."""

    slug = "clevertap"
    label = "CleverTap"
    category = guide.CATEGORY
    docs_url = "https://developer.clevertap.com/docs/upload-events-api"
    # 1,000 records; 15 uploads at once per account, of which two are left to the merchant's own systems. No byte limit
    # is published; CleverTap's people advise to stay below 5 MB.
    limits = Limits(records_per_call=1000, bytes_per_call=4_000_000, calls_in_flight=13, contacts_per_call=1000, bulk_in_flight=4)
    live_window = timedelta(hours=guide.LIVE_WINDOW_HOURS)
    fields = guide.FIELDS
    identities = guide.IDENTITIES
    forgetting = guide.FORGETTING
    guide = guide.GUIDE
    coming_back = clevertap_callbacks.COMING_BACK

    def parse_callback(self, kind: str, body: Any) -> Sequence[CallbackItem]:
        """Read what it sent back."""
        return clevertap_callbacks.parse(kind, body)

    def event_name(self, name: str) -> str:
        """Return the trimmed name; refuse reserved names and characters that CleverTap forbids."""
        name = name.strip()
        bad = sorted(set(PROHIBITED.findall(name)))
        if not name:
            raise InvalidName(_("Give the event a name."))
        if len(name) > NAME_MAX_CHARACTERS:
            raise InvalidName(_("CleverTap takes names of up to %(limit)d characters.") % {"limit": NAME_MAX_CHARACTERS})
        if bad:
            raise InvalidName(_("CleverTap does not allow %(characters)s in event names.") % {"characters": " ".join(bad)})
        if "".join(name.split()).lower() in RESERVED or name.lower().startswith("ct "):
            raise InvalidName(_("CleverTap keeps the name “%(name)s” for itself. Choose another.") % {"name": name})
        return name

    def property_names(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Return the names without the characters that CleverTap forbids."""
        return {name: _key(name) for name in properties}

    def clean(self, name: str, value: str) -> str:
        """Tidy a typed value; for the server prefix accept `IN1`, `in1` or a pasted dashboard address."""
        value = value.strip()
        if name == "server_prefix":
            return region(value)
        if re.search(r"\s", value):
            raise ValueError(_("There is a space inside. Copy the value again, without line breaks or spaces."))
        if not value or len(value) > 100 or not value.isascii():
            raise ValueError(_("Copy the whole value from CleverTap; it has 1 to 100 characters."))
        return value

    def refuse_settings(self, account: Account) -> Verification | None:
        """Refuse a region that does not exist: events must not land in another one."""
        try:
            region(account.settings.get("server_prefix"))
        except ValueError as error:
            return Verification(False, str(error), str(guide.FIX_CREDENTIALS))
        return None

    def check_together(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Refuse the Project ID in the Passcode's place: the same value can never be both."""
        account_id, passcode = values.get("account_id", ""), values.get("private_api_key", "")
        return {"private_api_key": guide.SAME_VALUE} if passcode and passcode.upper() == account_id.upper() else {}

    def doubts(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Point out values that look exchanged. Passcodes may look like ids, so only what an id alone has counts."""
        account_id, passcode = values.get("account_id", "").upper(), values.get("private_api_key", "").upper()
        found = {"private_api_key": guide.LOOKS_LIKE_ID} if passcode.startswith("TEST-") else {}
        if ACCOUNT_ID.match(passcode) and account_id and not ACCOUNT_ID.match(account_id):
            found["account_id"] = guide.LOOKS_EXCHANGED
        return found

    def identity(self, recipient: Mapping[str, Any], common_property: str) -> str | None:
        """Return the common property's value, or None where it is missing, too long or a word that names nobody."""
        value = str(recipient.get(common_property) or "").strip()
        return None if not value or len(value) > IDENTITY_MAX_CHARACTERS or value.lower() in NOT_AN_IDENTITY else value

    def verify_steps(self, account: Account) -> Generator[Request, Answer, Verification]:
        """Ask `/v1/connect`, the partners' documented credential check."""
        if (refused := self.refuse_settings(account)) is not None:
            return refused
        answer = yield Request("GET", f"{_host(account)}/v1/connect?partner={PARTNER}", **_auth(account))
        return read_connect(answer, account)

    def pack_events(self, account: Account, events: Sequence[Event], profiles: Mapping[str, Profile], now: datetime) -> Packed:
        """Pack each customer's profile (if it changed) and events next to each other, up to 1,000 records a call."""
        by_customer: dict[str, list[tuple[Event, str]]] = defaultdict(list)
        skipped: dict[str, str] = {}
        for event in events:
            if (identity := self.identity(event.recipient, account.common_property)) is None:
                skipped[event.delivery_id] = str(_("The customer has no usable %(name)s.") % {"name": account.common_property})
            else:
                by_customer[event.customer_ref].append((event, identity))
        groups = (self._customer(account, group, profiles.get(ref)) for ref, group in by_customer.items())
        return Packed(tuple(_call(account, batch) for batch in batches(groups, self.limits)), skipped)

    def pack_contacts(self, account: Account, profiles: Iterable[Profile], now: datetime, bulk: bool = False) -> Packed:
        """Pack profile records alone."""
        groups = (list(self._profile(account, profile)) for profile in profiles)
        return Packed(tuple(_call(account, batch) for batch in batches(groups, self.limits)))

    def _customer(self, account: Account, events: Sequence[tuple[Event, str]], known: Profile | None) -> list[Part]:
        """Return one customer's records: the profile if it is news, then the events in order."""
        parts = list(self._profile(account, known)) if known else []
        parts += [(dumps(_event(event, identity)), Record(delivery_id=event.delivery_id)) for event, identity in events]
        return parts

    def _profile(self, account: Account, profile: Profile) -> Iterator[Part]:
        """Yield the profile record, unless there is nothing to say or nothing new."""
        identity = self.identity(profile.recipient, account.common_property)
        data = _profile_data(profile, account.common_property)
        if identity is None or not data:
            return
        profile_hash = digest({"identity": identity, **news_of(data)})
        if profile_hash != profile.pushed_hash:
            record = {"type": "profile", "identity": identity, "profileData": data}
            yield dumps(record), Record(customer_ref=profile.customer_ref, profile_hash=profile_hash)

    def read(self, call: Call, answer: Response) -> Reading:
        """Read one upload's answer, record by record. Never trust `status` alone: `success` may list refusals."""
        return read_upload(call, answer) if 200 <= answer.status < 300 else read_refusal(answer)


def region(value: Any) -> str:
    """Return the region prefix in lower case, also from a dashboard address. Raises ValueError that says what to do."""
    text = str(value or "").strip()
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        host = ""
    match = DASHBOARD_HOST.match(host)
    prefix = match.group(1) if match else text.lower()
    if prefix not in HOSTS:
        known = ", ".join(key for key in HOSTS if key not in ("", "global"))
        words = _("CleverTap has no region “%(value)s”. Use one of %(known)s.")
        raise ValueError(words % {"value": text[:100], "known": known})
    return prefix


def _host(account: Account) -> str:
    """Return scheme and host of the account's region. Raises ValueError for one that does not exist: never another's."""
    prefix = region(account.settings.get("server_prefix"))
    return account.base_url or HOSTS[prefix]


def _auth(account: Account) -> dict[str, Any]:
    """Return the two documented headers, and which of them is secret."""
    headers = {
        "X-CleverTap-Account-Id": str(account.settings.get("account_id", "")),
        "X-CleverTap-Passcode": account.secrets.get("private_api_key", ""),
    }
    return {"headers": headers, "secret_headers": frozenset({"X-CleverTap-Passcode"})}


def _call(account: Account, batch: Batch) -> Call:
    """Return the upload of one batch."""
    auth = _auth(account)
    auth["headers"]["Content-Type"] = "application/json"
    body = ('{"d":[' + ",".join(batch.parts) + "]}").encode(errors="replace")
    return Call(Request("POST", f"{_host(account)}/1/upload", body=body, **auth), tuple(batch.records))


def _event(event: Event, identity: str) -> dict[str, Any]:
    """Return the event record. `ts` is epoch seconds; it is left out for a time before 1970, which CleverTap refuses."""
    record: dict[str, Any] = {"type": "event", "identity": identity, "evtName": event.name, "$source": "Nector"}
    ts = int(event.occurred_at.timestamp())
    if ts > 0:
        record["ts"] = ts
    record["evtData"] = _properties(event)
    return record


def _properties(event: Event) -> dict[str, Any]:
    """Return the flat event data: no nulls, no forbidden characters, within CleverTap's lengths and number."""
    own = {key: event.properties[key] for key in OWN_PROPERTIES if key in event.properties}
    data: dict[str, Any] = {"nector_delivery_id": event.delivery_id, **own}
    for key, value in event.properties.items():
        name, may_be_time = _named(key)
        if name in data:
            continue
        if may_be_time or not (type(value) is int or (type(value) is str and len(value) <= SHORT_ENOUGH)):
            value = _value(key, value)  # the others need no cleaning
        if name and value is not None and len(data) < PROPERTIES_MAX:
            data[name] = value
    return data


@lru_cache(maxsize=4096)
def _named(key: str) -> tuple[str, bool]:
    """Return the name under which a property leaves (blank: not at all), and whether its value may be a time."""
    return _key(key) if key.strip() else "", key.endswith("_at")


@lru_cache(maxsize=4096)
def _key(key: str) -> str:
    """Return a property's name without forbidden characters, within its length."""
    return cut_utf8(PROHIBITED.sub("_", key), KEY_MAX_BYTES)


def _value(key: str, value: Any) -> Any:
    """Return one property value: times of keys in `_at` as CleverTap dates, texts cut to 512 bytes."""
    value = scalar(value)
    if not isinstance(value, str):
        return value
    if key.endswith("_at") and (epoch := epoch_of_iso(value)) is not None:
        return f"$D_{epoch}"
    return cut_utf8(value, VALUE_MAX_BYTES)


def _profile_data(profile: Profile, common_property: str) -> dict[str, Any]:
    """Return what CleverTap should know of the person, without what it has refused before."""
    person = profile.recipient
    data = {
        "Name": str(person.get("name") or "").strip(),
        "Email": email_or_none(person.get("email")),
        "Phone": e164_or_none(person.get("phone")),
    }
    if common_property != "customer_id":
        data["nector_customer_id"] = str(person.get("customer_id") or "").strip()
    known = {
        PROFILE_PROHIBITED.sub("_", key): cut_utf8(value, VALUE_MAX_BYTES)
        for key, value in data.items()
        if value and key not in profile.refused
    }
    return _attributes(profile) | known if profile.attributes else known


def _attributes(profile: Profile) -> dict[str, Any]:
    """Return what the loyalty programme knows, times as CleverTap dates; an address that a cut would break is left out."""
    data = {}
    for key, value in attributes_of(profile, lambda moment: f"$D_{int(moment.timestamp())}").items():
        if isinstance(value, str) and len(value) > SHORT_ENOUGH:
            if "://" in value and len(value.encode(errors="replace")) > VALUE_MAX_BYTES:
                continue
            value = cut_utf8(value, VALUE_MAX_BYTES)
        data[cut_utf8(PROFILE_PROHIBITED.sub("_", key), KEY_MAX_BYTES)] = value
    return data


PROVIDER = CleverTap()
