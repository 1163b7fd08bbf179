"""Mailmodo's side of `addEvent`, `addToList`, `addToList/batch` and `getAllContactLists`, all below `/api/v1`.

Facts from Mailmodo's OpenAPI documents at developers.mailmodo.com and its pricing page. What a wrong key, too many calls or two
batches at once are answered with is not published: those answers are ours. A contact that is wrong in a batch is listed in a 207,
which is our reading too; what is wrong with the batch itself refuses all of it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from nectorbridge.sandbox import mailmodo_rules as rules
from nectorbridge.sandbox.contract import Batch, Label, Policy, Provider, Refuse, Reply, Request, json_reply
from nectorbridge.sandbox.mailmodo_memory import Memory

ADD_EVENT = "/api/v1/addEvent"
ADD = "/api/v1/addToList"
ADD_BATCH = "/api/v1/addToList/batch"
LISTS = "/api/v1/getAllContactLists"
METHODS = {ADD_EVENT: "POST", ADD: "POST", ADD_BATCH: "POST", LISTS: "GET"}
KEY_HEADER = "mmapikey"
CONTENT_TYPES = frozenset(["application/json", "application/json;charset=utf-8"])
GATEWAY = {"error": "error", "message": "Some Internal Error Occurred: 404"}
NO_KEY = {"listDetails": [], "Error": "API key missing"}  # as public secret scanners expect it, with a 200
STATIC_SEGMENT = "Cannot add users to static segmentation list"
ON_DEMAND = "Refused on demand by the sandbox"


class Mailmodo(Provider):
    """Mailmodo, as strict as what is known of it."""

    slug = "mailmodo"
    label = "Mailmodo"

    def __init__(self) -> None:
        """Begin without lists, types and calls."""
        self.memory = Memory()

    def reset(self) -> None:
        """Forget lists, types and calls."""
        self.memory = Memory()

    def turn_away(self, request: Request, policy: Policy) -> Reply | None:
        """Return the gateway's 404, the answer to a wrong key or header, or 429; None where the call may go on."""
        if METHODS.get(request.path) != request.method:
            return json_reply(404, GATEWAY)
        key = _key(request)
        if not key and request.path == LISTS:
            return json_reply(200, NO_KEY)
        if not _admits(policy, key):
            return _fail(401, "Invalid API key")
        if request.method == "POST" and _content_type(request) not in CONTENT_TYPES:
            return _fail(400, "Content-Type should be application/json", error="ValidationError")
        return None if self.memory.is_within(key, policy.rates.get(self.slug)) else self.too_many()

    def lane(self, request: Request) -> str:
        """Return the key: calls at once are counted by it, batches apart from the rest."""
        return f"{request.path == ADD_BATCH} {_key(request)}" if request.path in METHODS and request.method == "POST" else ""

    def lane_max(self, request: Request) -> int:
        """Return 1 for batches, which must follow each other."""
        return int(request.path == ADD_BATCH)

    def too_many(self) -> Reply:
        """Return a 429: the plans' rates are published, the answer above them is not."""
        return json_reply(429, {"message": "Too many requests"})

    def crowded(self, request: Request) -> Reply:
        """Return the answer to a second batch at once. That there is an error is published, its shape is not."""
        return _fail(400, "Another batch of contacts is in progress. Only one call at a time is allowed.")

    def process(self, request: Request, policy: Policy, refuse: Refuse) -> Reply:
        """Answer with the lists, or judge an event, a contact, or a batch of contacts."""
        memory = self.memory
        if request.path == LISTS:
            return json_reply(200, {"listDetails": memory.lists(_key(request))})
        try:
            record = _object(request.body)
        except ValueError as error:
            return _fail(400, f"Bad request: {error}", error="ValidationError")
        if request.path == ADD_EVENT:
            return _event(request, record, memory, refuse)
        name = record.get("listName")
        if isinstance(name, str) and (name in policy.segments or name.startswith(rules.STATIC_PREFIX)):
            return _fail(400, STATIC_SEGMENT, batch=_whole(request, record, "static_segment"))
        return (_single if request.path == ADD else _batch)(request, record, memory, refuse)

    def records(self, body: bytes) -> list[Any]:
        """Return the contacts of a batch, else the one record of a call."""
        record = _object(body)
        values = record.get("values")
        return values if isinstance(values, list) else [record]

    def describe(self, record: Any) -> Label:
        """Return what a record is about, whatever its shape."""
        if not isinstance(record, dict):
            return Label("unknown", "", "", "")
        kind = "event" if "event_name" in record or "event_properties" in record else "profile"
        data = record.get("event_properties")
        delivery = data.get("nector_delivery_id", "") if isinstance(data, dict) else ""
        return Label(kind, str(record.get("event_name", "")), str(record.get("email", "")), str(delivery))


def _key(request: Request) -> str:
    """Return the key of a call."""
    return request.headers.get(KEY_HEADER, "")


def _admits(policy: Policy, key: str) -> bool:
    """Tell whether the key is somebody's: with listed accounts one of their secrets, else any that is not `BAD...`."""
    if policy.accounts is None:
        return policy.admits("", key)
    return bool(key) and key in policy.accounts.values()


def _fail(status: int, message: str, batch: Batch | None = None, error: str = "") -> Reply:
    """Return a refusal, in the published shape."""
    more = {"error": error, "status": "error"} if error else {}
    return json_reply(status, {**more, "success": False, "message": message}, batch=batch)


def _content_type(request: Request) -> str:
    """Return the content type, lower case and without spaces."""
    return "".join(request.headers.get("content-type", "").split()).lower()


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def _object(body: bytes) -> dict[str, Any]:
    """Return the object in a body. Raises ValueError for a body that is none."""
    try:
        record = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("the body should be an object")
    return record


def _event(request: Request, record: dict[str, Any], memory: Memory, refuse: Refuse) -> Reply:
    """Answer one event. The same property of the same event keeps the type of its first value."""
    properties = record.get("event_properties", {})
    wrong = rules.event(record) or memory.mismatch(_key(request), f"event {record['event_name']}", properties)
    if wrong:
        return json_reply(400, {"message": wrong}, batch=_kept(request, [""], refused={0: "400"}))
    if code := refuse():
        return _fail(200, f"{ON_DEMAND} ({code}).", _kept(request, [""], refused={0: code}))
    batch = _kept(request, [str(properties.get("nector_delivery_id", ""))], events=1)
    return json_reply(200, {"success": True, "ref": memory.new_id()}, batch=batch)


def _single(request: Request, record: dict[str, Any], memory: Memory, refuse: Refuse) -> Reply:
    """Answer one contact."""
    name = record.pop("listName", None)
    wrong = rules.list_name({"listName": name}) or rules.contact(record)
    wrong = wrong or memory.mismatch(_key(request), "contact", record.get("data", {}))
    if wrong:
        return _fail(400, wrong, _kept(request, [""], refused={0: "400"}), error="ValidationError")
    if code := refuse():
        return _fail(200, f"{ON_DEMAND} ({code}).", _kept(request, [""], refused={0: code}))
    memory.add(_key(request), str(name), record["email"].lower(), record.get("data", {}), "single")
    message = "The contact is successfully added/updated"
    return json_reply(200, {"success": True, "message": message}, batch=_kept(request, [""], profiles=1))


def _batch(request: Request, record: dict[str, Any], memory: Memory, refuse: Refuse) -> Reply:
    """Answer a batch: all of it is wrong, or the contacts are judged one by one. There is no `success` in a good answer."""
    if wrong := rules.batch(record):
        return _fail(400, wrong, _whole(request, record, "400"), error="ValidationError")
    key, name, values = _key(request), record["listName"], record["values"]
    refused: dict[int, str] = {}
    errors, list_id = [], memory.make_list(key, name)
    for index, value in enumerate(values):
        wrong = rules.contact(value) or memory.mismatch(key, "contact", value.get("data", {}))
        code = "" if wrong else refuse()
        if wrong or code:
            email = value.get("email") if isinstance(value, dict) else None
            refused[index] = code or "contact"
            errors.append({"email": email, "failure reason": wrong or f"{ON_DEMAND} ({code})."})
        else:
            memory.add(key, name, value["email"].lower(), value.get("data", {}), "batch")
    batch = _kept(request, [""] * len(values), profiles=len(values) - len(refused), refused=refused)
    if not errors:
        return json_reply(200, {"message": "All contacts were added to the list", "listId": list_id}, batch=batch)
    message = "Some contacts were not added to the list"
    return json_reply(207, {"message": message, "errors": errors, "warnings": [], "listId": list_id}, batch=batch)


def _whole(request: Request, record: dict[str, Any], code: str) -> Batch:
    """Return what is kept of a call that is refused as a whole."""
    values = record.get("values")
    number = len(values) if isinstance(values, list) else 1
    return _kept(request, [""] * number, refused=dict.fromkeys(range(number), code))


def _kept(
    request: Request, deliveries: list[str], events: int = 0, profiles: int = 0, refused: dict[int, str] | None = None
) -> Batch:
    """Return what is kept of a call. Mailmodo knows no account id: the end of the key stands for it."""
    return Batch(f"…{_key(request)[-4:]}", request.body, deliveries, events, profiles, refused or {})
