"""CleverTap's side of `POST /1/upload` and `GET /v1/connect`.

Facts from developer.clevertap.com (docs/upload-events-api, docs/api-errors, docs/authentication, docs/api-request-limit)
and from answers recorded by its public client libraries. Where nothing is published the text of an error is ours.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from nectorbridge.sandbox.clevertap_refusals import refusal_item
from nectorbridge.sandbox.clevertap_rules import judge, normal
from nectorbridge.sandbox.clevertap_values import Finding
from nectorbridge.sandbox.contract import Batch, Label, Policy, Provider, Refuse, Reply, Request, json_reply

UPLOAD = "/1/upload"
CONNECT = "/v1/connect"
METHODS = {UPLOAD: "POST", CONNECT: "GET"}
ACCOUNT_HEADER = "x-clevertap-account-id"
PASSCODE_HEADER = "x-clevertap-passcode"
CONTENT_TYPES = frozenset(["application/json", "application/json;charset=utf-8"])
RECORDS_MAX = 1000
ON_DEMAND = "Refused on demand by the sandbox."


class CleverTap(Provider):
    """CleverTap, as strict as its pages."""

    slug = "clevertap"
    label = "CleverTap"
    in_flight_max = 15  # docs/api-request-limit: uploads at once per account

    def turn_away(self, request: Request, policy: Policy) -> Reply | None:
        """Return 404, 405, the recorded 401s, or 400 for a wrong header; None where the call may go on."""
        method = METHODS.get(request.path)
        if method is None:
            return _fail(404, "Not found")
        if request.method != method:
            return json_reply(405, {"status": "fail", "error": "Method not allowed", "code": 405}, {"Allow": method})
        account = request.headers.get(ACCOUNT_HEADER, "")
        if not account and request.path == CONNECT:
            return _fail(503, "Account ID is empty")
        if not policy.knows(account):
            return _fail(401, "Account ID is not valid")
        if not policy.admits(account, request.headers.get(PASSCODE_HEADER, "")):
            return _fail(401, "Invalid Credentials")
        if request.path == UPLOAD and _content_type(request) not in CONTENT_TYPES:
            return _fail(400, "Content-Type should be application/json")
        return None

    def lane(self, request: Request) -> str:
        """Return the account: uploads at once are counted by it."""
        return request.headers.get(ACCOUNT_HEADER, "") if request.path == UPLOAD else ""

    def too_many(self) -> Reply:
        """Return the documented 429; it carries no Retry-After."""
        return _fail(429, "Too many concurrent requests")

    def process(self, request: Request, policy: Policy, refuse: Refuse) -> Reply:
        """Answer a credential check or an upload."""
        if request.path == CONNECT:
            return json_reply(200, {"status": "success"}) if request.query.get("partner") else _fail(400, "partner is missing")
        try:
            records = _records(request.body)
        except ValueError as error:
            return _fail(400, f"Bad request: {error}")
        if len(records) > RECORDS_MAX:
            return _fail(400, f"Bad request: more than {RECORDS_MAX} records")
        return _upload(request, policy, refuse, records)

    def records(self, body: bytes) -> list[Any]:
        """Return the records of an upload."""
        return _records(body)

    def describe(self, record: Any) -> Label:
        """Return what a record is about, whatever its shape."""
        if not isinstance(record, dict):
            return Label("unknown", "", "", "")
        identity = next((str(record[key]) for key in ("identity", "objectId", "FBID", "GPID") if record.get(key)), "")
        data = record.get("evtData")
        delivery = str(data.get("nector_delivery_id", "")) if isinstance(data, dict) else ""
        return Label(str(record.get("type", "unknown")), str(record.get("evtName", "")), identity, delivery)


def _fail(status: int, error: str) -> Reply:
    """Return a refusal of the whole call, in the recorded shape."""
    return json_reply(status, {"status": "fail", "error": error, "code": status})


def _content_type(request: Request) -> str:
    """Return the content type, lower case and without spaces."""
    return "".join(request.headers.get("content-type", "").split()).lower()


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    """Return a number. Raises ValueError for one that no double holds."""
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits} is out of range")
    return number


def _records(body: bytes) -> list[Any]:
    """Return the records of an upload. Raises ValueError for a body that is no JSON, or has no list `d`."""
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    records = document.get("d") if isinstance(document, dict) else None
    if not isinstance(records, list) or not records:
        raise ValueError("d should be a list of records")
    return records


def _upload(request: Request, policy: Policy, refuse: Refuse, records: list[Any]) -> Reply:
    """Judge every record and answer in the recorded shape."""
    findings, deliveries, events = _judge_all(records, policy, refuse)
    processed = len(records) - len(findings)
    status = "success" if not findings else "partial" if processed else "fail"
    items = [refusal_item(finding, index + 1, records[index]) for index, finding in findings.items()]
    batch = Batch(
        account=request.headers[ACCOUNT_HEADER],
        body=request.body,
        deliveries=deliveries,
        events=events,
        profiles=processed - events,
        refused={index: str(finding.code) for index, finding in findings.items()},
        is_dry_run=request.query.get("dryRun") == "1",
    )
    return json_reply(200, {"status": status, "processed": processed, "unprocessed": items}, batch=batch)


def _judge_all(records: list[Any], policy: Policy, refuse: Refuse) -> tuple[dict[int, Finding], list[str], int]:
    """Return what is wrong by index, the delivery id of each accepted event, and the number of accepted events."""
    findings: dict[int, Finding] = {}
    deliveries = [""] * len(records)
    discarded = frozenset(normal(name) for name in policy.discarded)
    events = 0
    for index, record in enumerate(records):
        finding, code = judge(record, discarded), refuse()
        if code and finding is None:
            finding = Finding(int(code), ON_DEMAND)
        if finding is not None:
            findings[index] = finding
        elif record["type"] == "event":
            events += 1
            delivery = record.get("evtData", {}).get("nector_delivery_id", "")
            deliveries[index] = delivery if isinstance(delivery, str) else ""
    return findings, deliveries, events
