"""What comes back: no answer, whatever it is, surprises a module, and none is taken for more than it says."""

from __future__ import annotations

import json
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from integrations.providers.base import Call, Fault, Outcome, Provider, Response
from integrations.tests.conformance.subject import FEW, Subject, verify

GARBAGE = ["<html><body>It works!</body></html>", '{"status": "succ', "[1, 2", "\x00\x01", "OK then", "{" * 20]
ODD = [
    "",
    "null",
    "[]",
    "{}",
    "0",
    "1e999",
    "NaN",
    '"success"',
    "[[]]",
    '{"status": 3}',
    '{"status": {"a": [1]}, "success": [], "error": {"message": 7}, "unprocessed": {}}',
    '{"error": ["x", {"y": null}], "message": {"a": 1}, "code": "x", "unprocessed": [null, 3, "x", {"code": {}}]}',
    f'{{"code": {"9" * 400}, "processed": {"9" * 400}, "status": {"9" * 5000}}}',
    f'{{"processed": -1, "unprocessed": [{{"code": 1e308, "error": "Skipped record number : {"9" * 60}"}}]}}',
    "[" * 3000 + "]" * 3000,
    '{"status": "fail", "success": false, "error": "x"}',
    '{"status": "fail", "error": {"message": "Something broke", "type": "x"}}',
    '{"success": false, "errors": [1], "warnings": "x", "values": 4}',
]
NAMES = "status success error errors message code unprocessed processed type ref warnings listId"
HEADERS: list[dict[str, str]] = [{}, {"retry-after": "x", "x-ratelimit-reset": "1e999", "date": "never"}]


def no_answer_surprises_it(it: Subject) -> None:
    for call, status, body in product(_calls(it), range(100, 600), [*GARBAGE, *ODD]):
        _check_reading(it.provider, call, Response(status, HEADERS[status % 2], body))


@FEW
@given(data=st.data())
def _any_json(it: Subject, data: st.DataObject) -> None:
    words = st.sampled_from(
        ["status", "success", "error", "errors", "message", "code", "unprocessed", "processed", "type", "ref"]
    )
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["success", "fail"])
    bodies = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5), max_leaves=9
    )
    body = json.dumps(data.draw(bodies))
    for call, status in product(_calls(it), [200, 202, 207, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503]):
        _check_reading(it.provider, call, Response(status, {}, body))


def no_json_surprises_it(it: Subject) -> None:
    _any_json(it)


def _calls(it: Subject) -> list[Call]:
    """Return a call of events (with a profile where these travel together), one of a contact, one of many."""
    events = it.pack(*(it.event(f"d{number}", number) for number in range(3)), profiles=[it.profile(0)]).calls
    return [events[0], it.push(it.profile())[0], it.push(it.profile(1), it.profile(2), bulk=True)[0]]


def _check_reading(provider: Provider, call: Call, answer: Response) -> None:
    """Check what holds for every answer."""
    reading = provider.read(call, answer)
    said = f"{answer.status} {answer.text[:80]!r}"
    outcomes = {verdict.outcome for verdict in [reading.verdict, *reading.deliveries.values()]}
    assert outcomes <= set(Outcome), said
    assert set(reading.deliveries) <= set(call.delivery_ids), said
    assert {*reading.contacts, *reading.refused} <= {record.customer_ref for record in call.records}, said
    assert reading.hold_seconds is None or 0 < reading.hold_seconds <= 86_400, said
    if not 200 <= answer.status < 300:
        assert Outcome.ACCEPTED not in outcomes and not reading.contacts, said
    if answer.status >= 500 or answer.status == 429:
        assert outcomes == {Outcome.TRANSIENT} and not reading.refused, said
    if answer.status in (401, 403):
        assert outcomes == {Outcome.CONFIGURATION}, said
    if answer.text in GARBAGE and 200 <= answer.status < 300:
        assert outcomes == {Outcome.UNCERTAIN} and not reading.contacts, f"{said}: it may have arrived, it may not"
    assert all(isinstance(verdict.message, str) for verdict in [reading.verdict, *reading.deliveries.values()]), said


def no_answer_to_a_check_surprises_it(it: Subject) -> None:
    for status, body in product(range(100, 600), [*GARBAGE, *ODD]):
        asked, result = verify(it.provider, it.account, Response(status, {}, body))
        assert asked and (result.ok or (result.reason and result.fix)), f"{status} {body[:80]!r}"
        assert not result.ok or 200 <= status < 300
        if status >= 500 or status == 429:
            assert not result.reachable, "the provider is busy: nothing was learned of the credentials"
        if body.startswith("<") and 200 <= status < 300:
            assert not result.ok and not result.reachable, "somebody's page in between is not the provider's answer"
    for kind in ("dns", "tls", "refused", "connect_timeout", "read_timeout", "cut", "unreadable", "too_large", "redirect"):
        _asked, result = verify(it.provider, it.account, Fault(kind, kind, True))
        assert not result.ok and not result.reachable and result.reason and result.fix
