"""Wigzo's side of `POST /rest/v1/learn/identify` and `POST /rest/v1/learn/event`.

Facts from the Engage 360 API guide (github.com/lakshaysaini94/apidoc) and Wigzo's WordPress plugin and SDKs. Nothing is
published about refusals: their statuses and texts are ours, and so is that an event of a user who was never identified is
refused. The real Wigzo may be more lenient, also about the API token; here both tokens must be right.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from nectorbridge.sandbox.contract import Batch, Label, Policy, Provider, Refuse, Reply, Request, json_reply
from nectorbridge.sandbox.wigzo_rules import contact, event

EVENT = "/rest/v1/learn/event"
IDENTIFY = "/rest/v1/learn/identify"
TOKENS = ("token", "org_token")  # query parameters; `orgtoken` belongs to other, older addresses
CONTENT_TYPES = frozenset(["application/json", "application/json;charset=utf-8"])


class Wigzo(Provider):
    """Wigzo, as strict as what is known of it. Remembers who was identified, per Org token."""

    slug = "wigzo"
    label = "Wigzo"

    def __init__(self) -> None:
        """Know nobody yet."""
        self._identified: dict[str, set[str]] = {}

    def reset(self) -> None:
        """Forget who was identified."""
        self._identified = {}

    def turn_away(self, request: Request, policy: Policy) -> Reply | None:
        """Return 404, 405, 401 for tokens that are missing or wrong, 415 for another content type; None where it may go on."""
        if request.path not in (EVENT, IDENTIFY):
            return _fail(404, "Not found")
        if request.method != "POST":
            return json_reply(405, {"status": "error", "message": "Method not allowed"}, {"Allow": "POST"})
        for name in TOKENS:
            if not request.query.get(name, "").strip():
                return _fail(401, f"{name} is required")
        if not _admits(policy, request.query["org_token"], request.query["token"]):
            return _fail(401, "Invalid token")
        if "".join(request.headers.get("content-type", "").split()).lower() not in CONTENT_TYPES:
            return _fail(415, "Content-Type should be application/json")
        return None

    def lane(self, request: Request) -> str:
        """Return the Org token: calls at once are counted by it, and none is too many."""
        return request.query.get("org_token", "")

    def too_many(self) -> Reply:
        """Return a bare 429: Wigzo's throttling is not published."""
        return Reply(429)

    def process(self, request: Request, policy: Policy, refuse: Refuse) -> Reply:
        """Judge the one record of a call, and remember a contact that was taken."""
        try:
            (record,) = self.records(request.body)
        except ValueError as error:
            return _fail(400, f"Bad request: {error}")
        known = self._identified.setdefault(request.query["org_token"], set())
        is_event = request.path == EVENT
        wrong, code = event(record, known) if is_event else contact(record), refuse()
        if wrong:
            return _fail(400, wrong, _batch(request, refused="400"))
        if code:
            return _fail(200, f"Refused on demand by the sandbox ({code}).", _batch(request, refused=code))
        if not is_event:
            known.add(record["userId"])
            return json_reply(200, {"status": "success"}, batch=_batch(request, profiles=1))
        delivery = str(record["eventval"].get("nector_delivery_id", ""))
        return json_reply(200, {"status": "success"}, batch=_batch(request, delivery, events=1))

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
        kind = "event" if "eventName" in record or "eventval" in record else "profile"
        values = record.get("eventval")
        values = values if isinstance(values, dict) else {}
        identity = record.get("email") or values.get("email") or record.get("phone") or record.get("userId") or ""
        return Label(kind, str(record.get("eventName", "")), str(identity), str(values.get("nector_delivery_id", "")))


def _admits(policy: Policy, org_token: str, token: str) -> bool:
    """Tell whether both tokens are somebody's: with listed accounts a pair of them, else any that is not `BAD...`."""
    return policy.knows(org_token) and policy.admits(org_token, token)


def _fail(status: int, message: str, batch: Batch | None = None) -> Reply:
    """Return a refusal, with the keys that Wigzo's plugin reads. It never repeats a token."""
    return json_reply(status, {"status": "error", "message": message}, batch=batch)


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def _batch(request: Request, delivery: str = "", events: int = 0, profiles: int = 0, refused: str = "") -> Batch:
    """Return what is kept of a call. The end of the Org token stands for the account."""
    account = f"…{request.query['org_token'][-4:]}"
    return Batch(account, request.body, [delivery], events, profiles, {0: refused} if refused else {})
