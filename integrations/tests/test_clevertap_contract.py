"""CleverTap's module: what is special about it. Its contract cases are run by `test_conformance`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from integrations.providers import get_provider
from integrations.providers.base import Account, Call, Event, Fault, InvalidName, Outcome, Profile, Record, Request, Response
from integrations.tests import contract

NOW = datetime(2026, 11, 22, tzinfo=UTC)
clevertap = get_provider("clevertap")


def verify(answer, settings=None):
    values = settings or {"account_id": "A-1", "server_prefix": "IN1"}
    (request,), result = contract.verify(clevertap, Account(values, {"private_api_key": "P"}), answer)
    return request, result


def test_initialize_asks_the_partners_check_and_accepts_any_success():
    request, result = verify(Response(200, {}, '{"status":"success"}'))
    assert (request.method, request.url) == ("GET", "https://in1.api.clevertap.com/v1/connect?partner=nector")
    assert request.headers["X-CleverTap-Passcode"] == "P"
    assert result.ok and "A-1" in result.detail and "IN1" in result.detail


@pytest.mark.parametrize(("status", "body"), [(401, '{"error":"Invalid Credentials"}'), (403, ""), (200, '{"status":"fail"}')])
def test_refused_credentials_name_all_three_values_or_the_passcode(status, body):
    _request, result = verify(Response(status, {}, body))
    assert not result.ok and result.reachable and result.fix
    assert "refused" in result.reason or "passcode" in result.reason


@pytest.mark.parametrize(
    "answer", [Fault("dns", "no name", False), Response(500, {}, ""), Response(503, {}, ""), Response(429, {}, "")]
)
def test_an_unreachable_or_busy_provider_is_not_a_wrong_key(answer):
    _request, result = verify(answer)
    assert not result.ok and not result.reachable


def simple_call(*ids: str) -> Call:
    return Call(Request("POST", "https://x"), tuple(Record(delivery_id=key) for key in ids))


def read(call: Call, body: object, status: int = 200):
    return clevertap.read(call, contract.answer(body, status))


def test_success_with_refused_records_is_read_per_record():
    body = {"status": "success", "processed": 1, "unprocessed": [{"code": 513, "error": "restricted. Skipped record number :2"}]}
    reading = read(simple_call("a", "b"), body)
    assert reading.verdict.outcome is Outcome.ACCEPTED
    assert reading.deliveries["b"].outcome is Outcome.PERMANENT and reading.deliveries["b"].code == "513"


def test_a_refusal_without_a_number_is_found_by_our_own_id():
    body = {
        "status": "partial",
        "processed": 1,
        "unprocessed": [{"code": 528, "record": {"evtData": {"nector_delivery_id": "b"}}}],
    }
    assert set(read(simple_call("a", "b"), body).deliveries) == {"b"}


def test_refusals_that_name_nobody_make_the_rest_uncertain_never_accepted():
    body = {"status": "partial", "processed": 1, "unprocessed": [{"code": 512, "error": "bad"}]}
    assert read(simple_call("a", "b"), body).verdict.outcome is Outcome.UNCERTAIN


def test_an_answer_that_took_fewer_than_it_names_leaves_the_rest_uncertain():
    body = {"status": "partial", "processed": 1, "unprocessed": []}
    assert read(simple_call("a", "b", "c"), body).verdict.outcome is Outcome.UNCERTAIN


def test_a_refusal_that_is_a_bare_text_still_names_its_record():
    body = {"status": "partial", "processed": 1, "unprocessed": ["Skipped record number : 2"]}
    reading = read(simple_call("a", "b"), body)
    assert set(reading.deliveries) == {"b"} and reading.verdict.outcome is Outcome.ACCEPTED


def test_as_many_nameless_refusals_as_records_are_refusals_of_all():
    body = {"status": "fail", "processed": 0, "unprocessed": [{"code": 512}, {"code": 512}]}
    assert read(simple_call("a", "b"), body).verdict.outcome is Outcome.PERMANENT


def test_nothing_accepted_and_nothing_said_is_tried_again():
    assert read(simple_call("a"), {"status": "fail", "processed": 0, "unprocessed": []}).verdict.outcome is Outcome.TRANSIENT


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"unprocessed": 3}', '{"foo": 1}', '"success"', "{"])
def test_an_unreadable_2xx_is_uncertain(body):
    assert read(simple_call("a"), body).verdict.outcome is Outcome.UNCERTAIN


def test_an_unknown_code_is_tried_once_more():
    body = {"status": "fail", "processed": 0, "unprocessed": [{"code": 999, "error": "? Skipped record number : 1"}]}
    verdict = read(simple_call("a"), body).deliveries["a"]
    assert verdict.outcome is Outcome.TRANSIENT and verdict.max_tries == 2


def test_a_refused_profile_attribute_leaves_the_event_accepted():
    call = Call(Request("POST", "https://x"), (Record(customer_ref="c", profile_hash="h"), Record(delivery_id="a")))
    body = {"status": "partial", "processed": 1, "unprocessed": [{"code": 516, "error": "Phone. Skipped record number : 1"}]}
    reading = read(call, body)
    assert reading.verdict.outcome is Outcome.ACCEPTED and not reading.deliveries
    assert reading.refused == {"c": "Phone"} and not reading.contacts


def test_429_asks_for_patience_and_400_for_smaller_parts():
    assert read(simple_call("a"), "", 429).hold_seconds
    assert read(simple_call("a", "b"), "", 400).split and read(simple_call("a", "b"), "", 413).split
    assert not read(simple_call("a"), "", 404).split


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_server_errors_are_transient_and_use_a_try(status):
    reading = read(simple_call("a"), "<html>", status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds is None


def packed_event(properties, recipient=None, when=NOW, settings=None):
    recipient = recipient or {"customer_id": "c"}
    item = Event("d", "E", "c", recipient, properties, when)
    call = clevertap.pack_events(Account(settings or {"server_prefix": "in1"}, {}), [item], {}, NOW).calls[0]
    return json.loads(call.request.body)["d"][0]


def test_values_are_cleaned_as_the_contract_wants():
    data = packed_event(
        {
            "nothing": None,
            "nan": float("nan"),
            "yes": True,
            "long": "é" * 400,
            "list": ["x"],
            "object": {"a": 1},
            "expires_at": "2026-11-30T00:00:00+00:00",
            "bad$key": 1,
            "note": "2026-11-30T00:00:00+00:00",
        }
    )["evtData"]
    assert "nothing" not in data and "nan" not in data
    assert data["yes"] is True and data["list"] == '["x"]' and data["object"] == '{"a":1}'
    assert data["long"] == "é" * 256
    assert data["expires_at"] == "$D_1795996800" and data["note"].startswith("2026")
    assert data["bad_key"] == 1
    assert data["nector_delivery_id"] == "d"


def test_at_most_a_hundred_properties_and_ours_among_them():
    data = packed_event({f"p{i}": i for i in range(150)})["evtData"]
    assert len(data) == 100 and data["nector_delivery_id"] == "d"


def test_a_time_before_1970_is_left_out():
    assert "ts" not in packed_event({}, when=datetime(1960, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("value", ["", None, "0", "null", "N/A", "None", "-1", "  ", "x" * 1025, "NaN", "undefined"])
def test_a_customer_without_a_usable_identity_is_skipped_without_a_call(value):
    item = Event("d", "E", "c", {"customer_id": value}, {}, NOW)
    packed = clevertap.pack_events(Account({}, {}), [item], {}, NOW)
    assert not packed.calls and set(packed.skipped) == {"d"}


def test_profiles_and_events_together_stay_within_a_thousand_records():
    events = [Event(f"d{i}", "E", f"c{i}", {"customer_id": f"c{i}", "email": f"c{i}@x.io"}, {}, NOW) for i in range(1200)]
    profiles = {e.customer_ref: Profile(e.customer_ref, e.recipient) for e in events}
    calls = clevertap.pack_events(Account({}, {}), events, profiles, NOW).calls
    assert [len(call.records) for call in calls] == [1000, 1000, 400]
    first = calls[0].records
    assert all(first[i].customer_ref and first[i + 1].delivery_id for i in range(0, 1000, 2))


def test_a_customers_events_never_travel_in_two_calls():
    events = [Event(f"d{i:04}", "E", f"c{i % 7}", {"customer_id": f"c{i % 7}"}, {}, NOW) for i in range(2500)]
    calls = clevertap.pack_events(Account({}, {}), events, {}, NOW).calls
    homes: dict[str, set[int]] = {}
    for number, call in enumerate(calls):
        for record in call.records:
            homes.setdefault(f"c{int(record.delivery_id[1:]) % 7}", set()).add(number)
    assert all(len(found) == 1 for found in homes.values())
    assert all(len(call.records) <= 1000 for call in calls)


def test_a_profile_goes_along_only_when_it_changed():
    person = {"customer_id": "c", "name": "A", "email": "a@x.io", "phone": "+919876543210"}
    item = Event("d", "E", "c", person, {}, NOW)
    call = clevertap.pack_events(Account({}, {}), [item], {"c": Profile("c", person)}, NOW).calls[0]
    pushed = call.records[0].profile_hash
    assert len(call.records) == 2
    again = clevertap.pack_events(Account({}, {}), [item], {"c": Profile("c", person, pushed)}, NOW).calls[0]
    assert len(again.records) == 1
    without = clevertap.pack_events(Account({}, {}), [item], {"c": Profile("c", person, pushed, ("Phone",))}, NOW).calls[0]
    assert "Phone" not in json.loads(without.request.body)["d"][0]["profileData"]


@pytest.mark.parametrize("phone", ["9876543210", "+44+441234", "abc", "+0123456789", "+1"])
def test_a_phone_without_country_code_or_shape_is_left_out_of_the_profile(phone):
    call = clevertap.pack_contacts(Account({}, {}), [Profile("c", {"customer_id": "c", "name": "A", "phone": phone})], NOW).calls[
        0
    ]
    assert "Phone" not in json.loads(call.request.body)["d"][0]["profileData"]


@pytest.mark.parametrize(
    "name", ["App Launched", "app  launched", "UTMVisited", "CT Anything", "a|b", "50% off", "", "   ", "x" * 513]
)
def test_reserved_and_impossible_names_are_refused(name):
    with pytest.raises(InvalidName):
        clevertap.event_name(name)


def test_other_names_are_trimmed():
    assert clevertap.event_name("  Wallet Coins Rewarded ") == "Wallet Coins Rewarded"


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        ("IN1", "in1"),
        (" in1 ", "in1"),
        ("https://sg1.dashboard.clevertap.com/X/home", "sg1"),
        ("eu1.dashboard.clevertap.com", "eu1"),
    ],
)
def test_the_prefix_is_read_from_what_people_paste(typed, prefix):
    assert clevertap.clean("server_prefix", typed) == prefix


def test_an_unknown_prefix_and_a_key_with_a_space_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="in1"):
        clevertap.clean("server_prefix", "xx9")
    with pytest.raises(ValueError, match="space"):
        clevertap.clean("private_api_key", "AAA BBB")


@pytest.mark.parametrize("prefix", ["eu1", "", "EU1", "global"])
def test_europe_is_the_bare_host(prefix):
    call = clevertap.pack_events(
        Account({"server_prefix": prefix}, {}), [Event("d", "E", "c", {"customer_id": "c"}, {}, NOW)], {}, NOW
    ).calls[0]
    assert call.request.url == "https://api.clevertap.com/1/upload"


def test_a_base_url_replaces_host_and_region_and_keeps_its_path():
    target = Account({"server_prefix": "in1"}, {}, base_url="http://127.0.0.1:9/clevertap")
    call = clevertap.pack_events(target, [Event("d", "E", "c", {"customer_id": "c"}, {}, NOW)], {}, NOW).calls[0]
    assert call.request.url == "http://127.0.0.1:9/clevertap/1/upload"


@pytest.mark.parametrize("prefix", ["xx9", "sk1", "01", "in1.evil.example", "http://["])
def test_a_region_that_does_not_exist_is_an_error_before_any_call_and_never_europe(prefix):
    account = Account({"account_id": "A-1", "server_prefix": prefix}, {"private_api_key": "P"})
    with pytest.raises(StopIteration) as end:
        next(clevertap.verify_steps(account))
    assert not end.value.value.ok and end.value.value.reachable and end.value.value.fix
    with pytest.raises(ValueError, match="region"):
        clevertap.pack_events(account, [Event("d", "E", "c", {"customer_id": "c"}, {}, NOW)], {}, NOW)


def test_a_dashboard_address_that_was_stored_as_it_is_gives_the_region():
    request, result = verify(Response(200, {}, "{}"), {"server_prefix": "https://us1.dashboard.clevertap.com/X-1/home"})
    assert result.ok and request.url.startswith("https://us1.api.clevertap.com/")


@pytest.mark.parametrize("status", [402, 404, 405, 409, 410, 415, 422])
def test_a_refusal_that_will_not_pass_fails_at_once(status):
    assert read(simple_call("a"), "<html>", status).verdict.outcome is Outcome.PERMANENT


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(401, Outcome.CONFIGURATION), (403, Outcome.CONFIGURATION), (429, Outcome.TRANSIENT), (500, Outcome.TRANSIENT)],
)
def test_a_refusal_of_the_whole_call_counts_below_200_as_well(code, outcome):
    reading = read(simple_call("a", "b"), {"status": "fail", "error": "Account ID is not valid", "code": code})
    assert reading.verdict.outcome is outcome and bool(reading.hold_seconds) is (code == 429)


def test_nothing_unprocessed_may_be_null():
    body = {"status": "success", "processed": 2, "unprocessed": None}
    assert read(simple_call("a", "b"), body).verdict.outcome is Outcome.ACCEPTED


def test_a_property_without_a_name_is_left_out_and_a_broken_character_stops_nobody():
    data = packed_event({"": 1, "  ": 2, "title": "half \ud800", "coins": 5})["evtData"]
    assert data == {"nector_delivery_id": "d", "title": "half ?", "coins": 5}


def test_a_reserved_name_is_known_whatever_blanks_are_in_it():
    with pytest.raises(InvalidName):
        clevertap.event_name("App\tLaunched")
