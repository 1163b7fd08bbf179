"""MoEngage's side of its Data API: `/v1/event`, `/v1/customer`, `/v1/transition`, and the test of a connection.

Facts from moengage.com/docs: api/data/data.yaml (paths, bodies, answers), api/rate-limits (sizes), api/utilities/
test-connection-api. A 200 says that a call was accepted; what is dropped afterwards shows in the dashboard alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from nectorbridge.sandbox import moengage_doors as doors
from nectorbridge.sandbox.contract import Batch, Label, Policy, Provider, Refuse, Reply, Request, json_reply
from nectorbridge.sandbox.moengage_rules import judge

CHECK = "/v1/integrations/authentication"
BYTES_MAX = {"event": 128_000, "customer": 128_000, "transition": 100_000}
REGIONS = frozenset(["01", "02", "03", "04", "05", "06", "101"])
ACCEPTED = {"status": "success", "message": "Your request has been accepted and will be processed soon."}
MISSING = "MissingAttributeError"


class Refused(Exception):
    """A call that is turned down as a whole, with its answer."""

    def __init__(self, reply: Reply) -> None:
        """Carry the answer."""
        super().__init__()
        self.reply = reply


class MoEngage(Provider):
    """MoEngage, as strict as its pages."""

    slug = "moengage"
    label = "MoEngage"

    def turn_away(self, request: Request, policy: Policy) -> Reply | None:
        """Return 404, 405, 401, 409, 415 or 400; None where the call may go on."""
        kind, workspace = _where(request.path)
        if not kind:
            return doors.fail(404, "NotFound", "Not found")
        if request.method != "POST":
            reply = doors.fail(405, "MethodNotAllowed", "Method not allowed")
            return Reply(reply.status, reply.body, {**reply.headers, "Allow": "POST"})
        if kind == "check":
            workspace = request.headers.get("moe-appkey", "")
        refusal = doors.refuse_stranger(request, workspace, policy) or doors.refuse_content_type(request)
        return refusal or doors.refuse_query(request, workspace)

    def lane(self, request: Request) -> str:
        """Return "": MoEngage publishes no number of calls at once."""
        return ""

    def too_many(self) -> Reply:
        """Return the documented 429."""
        return doors.too_many()

    def process(self, request: Request, policy: Policy, refuse: Refuse) -> Reply:
        """Answer a connection test, or take in events and profiles."""
        kind, workspace = _where(request.path)
        try:
            if kind == "check":
                return _check(request)
            if len(request.body) > BYTES_MAX[kind]:
                limit = BYTES_MAX[kind] // 1000
                return doors.fail(413, "PayloadTooLarge", f"Payload size exceeds {limit} KB")
            return _take_in(_read(kind, request.body), workspace, request.body, policy, refuse)
        except Refused as refused:
            return refused.reply

    def records(self, body: bytes) -> list[Any]:
        """Return the records of a call that was kept."""
        document = json.loads(body)
        return _records(document.get("elements", [document]))

    def describe(self, record: Any) -> Label:
        """Return what a record is about, whatever its shape."""
        identity = str(record.get("customer_id") or "")
        action = record.get("action")
        if not isinstance(action, dict):
            return Label("profile" if record.get("type") == "customer" else "unknown", "", identity, "")
        return Label("event", str(action.get("action", "")), identity, _delivery(record))


def _where(path: str) -> tuple[str, str]:
    """Return the kind of call and the workspace in its address; "" for an address that does not exist."""
    if path == CHECK:
        return "check", ""
    parts = path.split("/")
    is_known = len(parts) == 4 and parts[:2] == ["", "v1"] and parts[2] in BYTES_MAX and parts[3]
    return (parts[2], parts[3]) if is_known else ("", "")


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def _document(body: bytes) -> dict[str, Any]:
    """Return the body's object. Raises Refused."""
    if not body:
        raise Refused(doors.fail(400, MISSING, "Empty request body"))
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(doors.fail(400, "InvalidRequest", "Malformed JSON")) from None
    if not isinstance(document, dict):
        raise Refused(doors.fail(400, "InvalidRequest", "Malformed JSON"))
    return document


def _check(request: Request) -> Reply:
    """Answer the test of a connection; the body must say what the header says."""
    data = _document(request.body)
    pair = doors.credentials(request)
    if (data.get("app_id"), data.get("app_secret")) != pair:
        return doors.fail(401, doors.AUTHENTICATION, doors.KEY_MISMATCH)
    if not data.get("source") or data.get("region") not in REGIONS:
        return doors.fail(400, "InvalidParams", "source and region are required")
    return json_reply(200, {"status": "success", "app_name": "Sandbox"})


def _read(kind: str, body: bytes) -> list[Any]:
    """Return the records of a call, one per action. Raises Refused for what MoEngage turns down as a whole."""
    document = _document(body)
    if kind != "transition":
        if "elements" in document:
            raise Refused(doors.fail(400, "InvalidRequest", "elements is for bulk calls", attribute="elements"))
        _structure(document)
        return _records([document | ({} if document.get("type") == kind else {"type": "wrong"})])
    elements = document.get("elements")
    if not isinstance(elements, list) or not elements:
        raise Refused(doors.fail(400, MISSING, "elements can not be empty Array", attribute="elements"))
    for element in elements:
        if not isinstance(element, dict) or element.get("type") not in ("event", "customer"):
            raise Refused(doors.fail(400, "InvalidRequest", "Invalid element type", attribute="type"))
        _structure(element)
    records = _records(elements)
    return records if document.get("type") == "transition" else [record | {"type": "wrong"} for record in records]


def _structure(element: Mapping[str, Any]) -> None:
    """Check what every element must have. Raises Refused."""
    if "customer_id" not in element:
        raise Refused(doors.fail(400, MISSING, "customer_id is not found in the payload", attribute="customer_id"))
    if str(element.get("type")).lower() != "event":
        return
    actions = element.get("actions")
    if not isinstance(actions, list) or not actions:
        raise Refused(doors.fail(400, MISSING, "actions can not be empty Array", attribute="actions"))
    for action in actions:
        if not isinstance(action, dict) or not isinstance(action.get("action"), str) or not action["action"]:
            raise Refused(doors.fail(400, MISSING, "action is not found in the payload", attribute="action"))


def _records(elements: list[Any]) -> list[Any]:
    """Return elements with each action of an event as a record of its own."""
    found: list[Any] = []
    for element in elements:
        actions = element.get("actions")
        if isinstance(actions, list) and actions:
            shared = {key: value for key, value in element.items() if key != "actions"}
            found += [{**shared, "action": action} for action in actions]
        else:
            found.append(element)
    return found


def _delivery(record: Mapping[str, Any]) -> str:
    """Return the delivery that an event is, or ""."""
    data = record["action"].get("attributes")
    delivery = data.get("nector_delivery_id") if isinstance(data, dict) else ""
    return delivery if isinstance(delivery, str) else ""


def _take_in(records: list[Any], workspace: str, body: bytes, policy: Policy, refuse: Refuse) -> Reply:
    """Accept a call, and note what MoEngage would drop of it without a word. On demand it is refused as a whole."""
    on_demand = [refuse() for _record in records]  # each counts
    if any(on_demand):
        return doors.fail(400, "InvalidRequest", "Refused on demand by the sandbox.")
    dropped = {index: code for index, record in enumerate(records) if (code := judge(record, policy.discarded))}
    kept = [record for index, record in enumerate(records) if index not in dropped]
    events = sum(record["type"] == "event" for record in kept)
    deliveries = [
        _delivery(record) if index not in dropped and record["type"] == "event" else "" for index, record in enumerate(records)
    ]
    batch = Batch(workspace, body, deliveries, events, len(kept) - events, dropped)
    return json_reply(200, ACCEPTED, batch=batch)
