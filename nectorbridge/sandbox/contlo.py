"""Contlo's side of `POST /v1/track`, `POST /v1/identify`, the key check and the SDKs' configuration.

Facts from developer.contlo.com (reference/track-api-1, reference/user-profiles, reference/recording-customer-purchases-) and
Contlo's public SDKs. Status codes of refusals and texts of errors are not published: these are ours. A name that Contlo has
not whitelisted (`discarded`) is answered with success and kept nowhere.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from nectorbridge.sandbox.contlo_rules import contact, event
from nectorbridge.sandbox.contract import Batch, Label, Policy, Provider, Refuse, Reply, Request, json_reply

TRACK = "/v1/track"
IDENTIFY = "/v1/identify"
CHECK = "/api/integrations/zapier"
CONFIG = "/v1/fetch_config"
METHODS = {TRACK: "POST", IDENTIFY: "POST", CHECK: "POST", CONFIG: "GET"}
KEY_HEADER = "x-api-key"
CONTENT_TYPES = frozenset(["application/json", "application/json;charset=utf-8"])
CONFIGURATION = {
    "logging_enabled": False,
    "sync_timeframe": 60,
    "logo_url": None,
    "log_level": 0,
    "notification_brand_icon": False,
}


class Contlo(Provider):
    """Contlo, as strict as what is known of it."""

    slug = "contlo"
    label = "Contlo"

    def turn_away(self, request: Request, policy: Policy) -> Reply | None:
        """Return 404, 405, the documented answer to a wrong key, or 400 for a wrong header; None where the call may go on."""
        method = METHODS.get(request.path)
        if method is None:
            return _fail(404, "Not found")
        if request.method != method:
            return json_reply(405, {"success": False, "error": "Method not allowed"}, {"Allow": method})
        if not _admits(policy, request.headers.get(KEY_HEADER, "")):
            return json_reply(200, {"success": False}) if request.path == CHECK else _fail(401, "Invalid API key")
        if request.path in (TRACK, IDENTIFY) and _content_type(request) not in CONTENT_TYPES:
            return _fail(400, "Content-Type should be application/json")
        return None

    def lane(self, request: Request) -> str:
        """Return the key: events at once are counted by it, and none is too many."""
        return request.headers.get(KEY_HEADER, "") if request.path in (TRACK, IDENTIFY) else ""

    def too_many(self) -> Reply:
        """Return a bare 429: Contlo's throttling is not published."""
        return Reply(429)

    def process(self, request: Request, policy: Policy, refuse: Refuse) -> Reply:
        """Answer a check, or judge the one record of a call."""
        if request.path == CHECK:
            return json_reply(200, {"success": True})
        if request.path == CONFIG:
            return json_reply(200, CONFIGURATION)
        try:
            (record,) = self.records(request.body)
        except ValueError as error:
            return _fail(400, f"Bad request: {error}")
        return _judged(request, record, policy, refuse)

    def records(self, body: bytes) -> list[Any]:
        """Return the one record of a call. Raises ValueError for a body that is no JSON object."""
        try:
            record = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(record, dict):
            raise ValueError("the body should be an object")
        return [record]

    def describe(self, record: Any) -> Label:
        """Return what a record is about, whatever its shape."""
        kind = "event" if "event" in record or "properties" in record else "profile"
        data = record.get("properties")
        delivery = data.get("nector_delivery_id", "") if isinstance(data, dict) else ""
        identity = record.get("email") or record.get("phone_number") or ""
        return Label(kind, str(record.get("event", "")), str(identity), str(delivery))


def _admits(policy: Policy, key: str) -> bool:
    """Tell whether the key is somebody's: with listed accounts one of their secrets, else any that is not `BAD...`."""
    if policy.accounts is None:
        return policy.admits("", key)
    return bool(key) and key in policy.accounts.values()


def _fail(status: int, error: str, batch: Batch | None = None) -> Reply:
    """Return a refusal, in the shape that the SDKs read."""
    return json_reply(status, {"success": False, "error": error}, batch=batch)


def _content_type(request: Request) -> str:
    """Return the content type, lower case and without spaces."""
    return "".join(request.headers.get("content-type", "").split()).lower()


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def _judged(request: Request, record: dict[str, Any], policy: Policy, refuse: Refuse) -> Reply:
    """Answer one event or contact, with what is kept of it."""
    is_event = request.path == TRACK
    wrong, code = event(record) if is_event else contact(record), refuse()
    if wrong:
        return _fail(400, wrong, _batch(request, refused="400"))
    if code:
        return _fail(200, f"Refused on demand by the sandbox ({code}).", _batch(request, refused=code))
    if is_event and record["event"] in policy.discarded:
        return json_reply(200, {"success": True})
    delivery = str((record.get("properties") or {}).get("nector_delivery_id", "")) if is_event else ""
    return json_reply(200, {"success": True}, batch=_batch(request, delivery, events=int(is_event), profiles=int(not is_event)))


def _batch(request: Request, delivery: str = "", events: int = 0, profiles: int = 0, refused: str = "") -> Batch:
    """Return what is kept of a call. Contlo knows no account id: the end of the key stands for it."""
    account = f"…{request.headers[KEY_HEADER][-4:]}"
    return Batch(account, request.body, [delivery], events, profiles, {0: refused} if refused else {})
