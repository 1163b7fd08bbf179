"""MoEngage: events through `POST /v1/event`, in bulk with profiles through `POST /v1/transition`.

Facts from moengage.com/docs: api/introduction (hosts, keys), api/data/data-overview, api/data/data.yaml (bodies, answers),
api/rate-limits; portfolio-data-ingestion-and-management (`project_code`), ip-whitelisting-in-moengage (`X-Forwarded-For`),
api/utilities/test-connection-api.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.translation import gettext_lazy as _

from integrations.providers import moengage_callbacks
from integrations.providers import moengage_guide as guide
from integrations.providers import moengage_rules as rules
from integrations.providers.attributes import news_of
from integrations.providers.base import (
    Account,
    Answer,
    Call,
    Event,
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
from integrations.providers.batching import Part, batches
from integrations.providers.callbacks import CallbackItem
from integrations.providers.moengage_answers import ALL_ATTRIBUTES, bad_prefix, read_call, read_check
from integrations.providers.values import digest, dumps

FEW_CUSTOMERS = 3  # up to so many get a call of their own, whose answer names what is wrong
EVENT_BYTES = 128_000  # api/rate-limits: 128 KB for one customer's call, 100 KB for a bulk call
BULK_BYTES = 100_000
# api/rate-limits: per workspace and minute, by the kind of call; a bulk call's events and customers are counted apart.
PER_MINUTE = MappingProxyType({"event": 30_000, "customer": 10_000, "bulk event": 60_000, "bulk customer": 60_000})
SOURCE = "nector"
WORKSPACE_ID = re.compile(r"^[A-Za-z0-9_]{10,40}\Z")
LIKE_AN_ID = re.compile(r"^(?=.*[A-Z])[A-Z0-9]{20,24}\Z")
PROJECT_CODE = re.compile(r"^\S{1,100}\Z")
KEY_MAX_CHARACTERS = 200


class MoEngage(Provider):
    """MoEngage's Data API."""

    slug = "moengage"
    label = "MoEngage"
    category = guide.CATEGORY
    docs_url = "https://www.moengage.com/docs/api/data/data-overview"
    # No number of records or of calls at once is published, only bytes and a rate a minute; a hundred events usually
    # fill a bulk call.
    limits = Limits(
        records_per_call=100,
        bytes_per_call=BULK_BYTES,
        calls_in_flight=12,
        contacts_per_call=100,
        bulk_in_flight=4,
        per_minute=PER_MINUTE,
    )
    fields = guide.FIELDS
    identities = guide.IDENTITIES
    forgetting = guide.FORGETTING
    guide = guide.GUIDE
    coming_back = moengage_callbacks.COMING_BACK

    def parse_callback(self, kind: str, body: Any) -> Sequence[CallbackItem]:
        """Read what it sent back."""
        return moengage_callbacks.parse(kind, body)

    def default_event_name(self, trigger: str) -> str:
        """Return the trigger's name in the capitals that Nector's guide shows."""
        return rules.DEFAULT_NAMES.get(trigger) or "".join(word.capitalize() for word in trigger.split("_"))

    def event_name(self, name: str) -> str:
        """Return the name as it leaves; refuse what MoEngage keeps for itself."""
        return rules.event_name(name)

    def property_names(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Return the names as MoEngage spells them; those that it fills in itself are ours under another name."""
        return rules.attribute_names(properties)

    def clean(self, name: str, value: str) -> str:
        """Tidy a typed value; for the server prefix accept `1`, `01` or a pasted dashboard address."""
        value = value.strip()
        match name:
            case "server_prefix":
                return rules.data_centre(value)
            case "workspace_id" if not WORKSPACE_ID.match(value):
                raise ValueError(_("A Workspace ID has 10 to 40 letters and digits, without spaces. Copy it whole."))
            case "data_api_key" if re.search(r"\s", value) or not 0 < len(value) <= KEY_MAX_CHARACTERS:
                raise ValueError(_("Copy the whole Data key: up to 200 characters, without line breaks or spaces."))
            case "project_code" if not PROJECT_CODE.match(value):
                raise ValueError(_("Copy the project's code without spaces."))
            case "egress_ip":
                return rules.address(value)
        return value

    def check_together(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Refuse the Workspace ID in the Data key's place: the same value can never be both."""
        workspace, key = values.get("workspace_id", ""), values.get("data_api_key", "")
        return {"data_api_key": guide.SAME_VALUE} if key and key.upper() == workspace.upper() else {}

    def doubts(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Point out a key that looks like a Workspace ID. MoEngage publishes no shape of keys, so this is a hint only."""
        return {"data_api_key": guide.LOOKS_LIKE_ID} if LIKE_AN_ID.match(values.get("data_api_key", "")) else {}

    def refuse_settings(self, account: Account) -> Verification | None:
        """Refuse a data centre that does not exist: there is no address to call."""
        try:
            rules.data_centre(account.settings.get("server_prefix"))
        except ValueError as error:
            return bad_prefix(str(error))
        return None

    def identity(self, recipient: Mapping[str, Any], common_property: str) -> str | None:
        """Return the identity, or None where it is missing, a single character, or an id that MoEngage bans."""
        return rules.identity(recipient.get(common_property))

    def verify_steps(self, account: Account) -> Generator[Request, Answer, Verification]:
        """Ask the documented test of a connection. Its body holds the key, and is stored nowhere."""
        if (refused := self.refuse_settings(account)) is not None:
            return refused
        prefix = rules.data_centre(account.settings.get("server_prefix"))
        request = _request(account, "/v1/integrations/authentication", b"")
        workspace = _workspace(account)
        secret = account.secrets.get("data_api_key", "")
        body = dumps({"app_id": workspace, "app_secret": secret, "source": SOURCE, "region": prefix}).encode()
        headers = {**request.headers, "MOE-APPKEY": workspace}
        answer = yield Request("POST", request.url, headers, body, request.secret_headers)
        return read_check(answer, workspace, prefix)

    def pack_events(self, account: Account, events: Sequence[Event], profiles: Mapping[str, Profile], now: datetime) -> Packed:
        """Pack a call per customer where few wait and none has news; otherwise profiles and events in bulk."""
        by_customer: dict[str, list[Event]] = defaultdict(list)
        skipped: dict[str, str] = {}
        for event in events:
            if self.identity(event.recipient, account.common_property) is None:
                skipped[event.delivery_id] = str(_("The customer has no usable %(name)s.") % {"name": account.common_property})
            else:
                by_customer[event.customer_ref].append(event)
        news = {ref: parts for ref in by_customer if ref in profiles and (parts := list(self._profile(account, profiles[ref])))}
        if rules_out_bulk(account) or (len(by_customer) <= FEW_CUSTOMERS and not news):
            return Packed(tuple(self._one_by_one(account, by_customer, news, now)), skipped)
        groups = (news.get(ref, []) + self._elements(account, group, now) for ref, group in by_customer.items())
        return Packed(tuple(_bulk(account, groups)), skipped)

    def pack_contacts(self, account: Account, profiles: Iterable[Profile], now: datetime, bulk: bool = False) -> Packed:
        """Pack profiles alone."""
        groups = (list(self._profile(account, profile)) for profile in profiles)
        if rules_out_bulk(account):
            return Packed(tuple(_customer_call(account, part) for group in groups for part in group))
        return Packed(tuple(_bulk(account, groups)))

    def _one_by_one(
        self, account: Account, by_customer: Mapping[str, list[Event]], news: Mapping[str, list[Part]], now: datetime
    ) -> Iterator[Call]:
        """Yield each customer's calls: the profile if it is news, and one with all the events that fit into it."""
        switch = _is_on(account, "real_time_action", default=False)
        for ref, events in by_customer.items():
            yield from (_customer_call(account, part) for part in news.get(ref, []))
            parts = [(dumps(_action(event, switch, now)), Record(delivery_id=event.delivery_id)) for event in events]
            yield _event_call(account, self._identity_of(account, events[0]), parts)

    def _elements(self, account: Account, events: Sequence[Event], now: datetime) -> list[Part]:
        """Return one customer's events as elements of a bulk call, in order."""
        switch = _is_on(account, "real_time_action", default=False)
        parts = []
        for event in events:
            identity = self._identity_of(account, event)
            element = {"type": "event", "customer_id": identity, "actions": [_action(event, switch, now)]}
            parts.append((dumps(element), Record(delivery_id=event.delivery_id)))
        return parts

    def _identity_of(self, account: Account, event: Event) -> str:
        """Return the identity of an event that has one."""
        return self.identity(event.recipient, account.common_property) or ""

    def _profile(self, account: Account, profile: Profile) -> Iterator[Part]:
        """Yield the customer element, unless there is nothing to say or nothing new."""
        identity = self.identity(profile.recipient, account.common_property)
        data = rules.profile_data(profile, account.common_property)
        if identity is None or not data or ALL_ATTRIBUTES in profile.refused:
            return
        profile_hash = digest({"identity": identity, **news_of(data)})
        if profile_hash != profile.pushed_hash:
            element = {"type": "customer", "customer_id": identity, "update_existing_only": False, "attributes": data}
            yield dumps(element), Record(customer_ref=profile.customer_ref, profile_hash=profile_hash)

    def read(self, call: Call, answer: Response) -> Reading:
        """Read the one answer that holds for everything in the call: MoEngage has no result per record."""
        return read_call(call, answer)


def _is_on(account: Account, name: str, default: bool) -> bool:
    """Return a switch, as stored by the form or typed by a program."""
    value = account.settings.get(name)
    return default if value in (None, "") else str(value).strip().lower() not in ("false", "0", "no", "off")


def rules_out_bulk(account: Account) -> bool:
    """Tell whether the merchant wants no bulk calls, whose errors show in MoEngage's dashboard alone."""
    return not _is_on(account, "allow_bulk", default=True)


def _workspace(account: Account) -> str:
    """Return the Workspace ID."""
    return str(account.settings.get("workspace_id", "")).strip()


def _request(account: Account, path: str, body: bytes) -> Request:
    """Return a POST to the account's data centre. Raises ValueError for one that does not exist: never another's."""
    prefix = rules.data_centre(account.settings.get("server_prefix"))
    pair = f"{_workspace(account)}:{account.secrets.get('data_api_key', '')}"
    basic = base64.b64encode(pair.encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    if egress_ip := str(account.settings.get("egress_ip") or "").strip():
        headers["X-Forwarded-For"] = egress_ip
    url = f"{account.base_url or f'https://api-{prefix}.moengage.com'}{path}"
    return Request("POST", url, headers, body, frozenset({"Authorization"}))


def _data_call(account: Account, kind: str, body: str, records: Iterable[Record]) -> Call:
    """Return a call of the Data API; a portfolio's project is named in the query."""
    workspace = _workspace(account)
    path = f"/v1/{kind}/{quote(workspace, safe='')}"
    if project := str(account.settings.get("project_code") or "").strip():
        path += "?" + urlencode({"app_id": workspace, "project_code": project})
    records = tuple(records)
    events = sum(1 for record in records if record.delivery_id)
    spends = {kind: len(records)} if kind != "transition" else {"bulk event": events, "bulk customer": len(records) - events}
    return Call(_request(account, path, body.encode(errors="replace")), records, spends=spends)


def _bulk(account: Account, groups: Iterable[list[Part]]) -> Iterator[Call]:
    """Yield bulk calls."""
    for batch in batches(groups, MoEngage.limits):
        yield _data_call(account, "transition", '{"type":"transition","elements":[' + ",".join(batch.parts) + "]}", batch.records)


def _event_call(account: Account, identity: str, parts: list[Part]) -> Call:
    """Return one customer's events; those beyond the limit go along with the next claim, so that their order holds."""
    head = f'{{"type":"event","customer_id":{dumps(identity)},"actions":['
    limits = Limits(MoEngage.limits.records_per_call, EVENT_BYTES - len(head.encode(errors="replace")), 1)
    batch = next(batches([parts], limits))
    return _data_call(account, "event", f"{head}{','.join(batch.parts)}]}}", batch.records)


def _customer_call(account: Account, part: Part) -> Call:
    """Return one profile in a call of its own."""
    return _data_call(account, "customer", part[0], [part[1]])


def _action(event: Event, real_time: bool, now: datetime) -> dict[str, Any]:
    """Return one event. MoEngage does not accept future times: a clock that is ahead must not lose it."""
    action: dict[str, Any] = {
        "action": rules.spelled(event.name),
        "attributes": rules.attributes(event.delivery_id, event.properties),
        "platform": "unknown",
        "current_time": rules.iso(min(event.occurred_at, now)),
    }
    return action | {"real_time_action": "true"} if real_time else action


PROVIDER = MoEngage()
