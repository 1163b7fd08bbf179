"""Contlo's module: what is special about it. Its contract cases are run by `test_conformance`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from integrations.providers import get_provider
from integrations.providers.base import Account, Call, Event, InvalidName, Outcome, Profile, Record, Request, Response
from integrations.tests.contract import DOWN, answer, verify

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PERSON = {"customer_id": "c", "email": "asha@example.com", "phone": "+919812345678", "name": "Asha Rao"}
KEY = {"private_api_key": "0123456789abcdef0123456789abcdef"}
ACCOUNT = Account({}, KEY, "email")
CONFIG = {
    "logging_enabled": True,
    "sync_timeframe": 10,
    "logo_url": None,
    "log_level": 1,
    "notification_brand_icon": False,
}
contlo = get_provider("contlo")


def item(delivery="d", ref="c", person=None, name="E", properties=None, when=NOW) -> Event:
    return Event(delivery, name, ref, person or PERSON, properties or {}, when)


def packed(*events: Event, profiles=None, target=ACCOUNT) -> list[Call]:
    return list(contlo.pack_events(target, events, profiles or {}, NOW).calls)


def body(call: Call) -> dict:
    return json.loads(call.request.body)


def test_an_event_without_a_name_is_never_sent():
    packing = contlo.pack_events(ACCOUNT, [item(name="")], {}, NOW)
    assert not packing.calls and set(packing.skipped) == {"d"}


@pytest.mark.parametrize(
    "name", ["", "   ", "Charged", " charged ", "Email Sent", "email_opened", "WhatsApp_Clicked", "Mobile Push Dismissed"]
)
def test_empty_and_reserved_names_are_refused(name):
    with pytest.raises(InvalidName):
        contlo.event_name(name)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  a b ", "a_b"),
        ("Order phone", "Order_phone"),
        ("walletreward_create", "walletreward_create"),
        ("Email Sent Again", "Email_Sent_Again"),
        ("Münzen für Ásha", "Münzen_für_Ásha"),
    ],
)
def test_names_leave_trimmed_and_with_underscores_for_spaces(typed, name):
    assert contlo.event_name(typed) == name


@pytest.mark.parametrize(
    "email",
    [None, "", "  ", "asha", "asha@", "asha@example", "a@b..example", "a@.example", "a b@example.com", f"{'a' * 250}@x.io"],
)
def test_a_customer_without_a_usable_email_is_skipped_without_a_call(email):
    packing = contlo.pack_events(ACCOUNT, [item(person={**PERSON, "email": email})], {}, NOW)
    assert not packing.calls and "email" in packing.skipped["d"]


def test_the_email_alone_names_the_customer_whatever_the_common_property_says():
    assert contlo.identity(PERSON, "customer_id") == "asha@example.com"
    assert contlo.identity({"customer_id": "c", "phone": "+919812345678"}, "phone") is None


@pytest.mark.parametrize("phone", [None, "", "9812345678", "+44+441234", "+1"])
def test_a_phone_without_country_code_is_absent_never_empty(phone):
    (call,) = packed(item(person={**PERSON, "phone": phone}))
    assert "phone_number" not in body(call)


def test_properties_are_flat_and_without_nulls():
    properties = {
        "coins": 120,
        "rate": 0.5,
        "yes": True,
        "nothing": None,
        "nan": float("nan"),
        "order": {"id": "7", "address": {"city": "Pune"}, "note": None},
        "items": ["a", {"b": 1}],
        "event_type": "custom",
    }
    (call,) = packed(item(properties=properties, when=datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5)))))
    assert body(call)["properties"] == {
        "nector_delivery_id": "d",
        "occurred_at": "2026-01-01T00:00:00Z",
        "coins": 120,
        "rate": 0.5,
        "yes": True,
        "order_id": "7",
        "order_address_city": "Pune",
        "items": '["a",{"b":1}]',
        "nector_event_type": "custom",
    }


def test_our_own_id_and_time_are_not_overwritten():
    (call,) = packed(item(properties={"nector_delivery_id": "x", "occurred_at": "y"}))
    assert body(call)["properties"] == {"nector_delivery_id": "d", "occurred_at": "2026-11-22T00:00:00Z"}


def test_nothing_of_a_device_nor_consent_is_sent():
    (call,) = packed(item(), profiles={"c": Profile("c", PERSON)})
    assert set(body(call)) == {"event", "email", "phone_number", "properties", "profile_properties"}


def test_a_profile_goes_along_only_when_it_changed():
    (call,) = packed(item(), profiles={"c": Profile("c", PERSON)})
    news, delivery = call.records
    assert (news.customer_ref, delivery.delivery_id) == ("c", "d") and news.profile_hash
    assert body(call)["profile_properties"] == {"first_name": "Asha", "last_name": "Rao", "nector_customer_id": "c"}
    (again,) = packed(item(), profiles={"c": Profile("c", PERSON, news.profile_hash)})
    assert len(again.records) == 1 and "profile_properties" not in body(again)
    changed = {**PERSON, "phone": "+919812345679"}
    (later,) = packed(item(person=changed), profiles={"c": Profile("c", changed, news.profile_hash)})
    assert len(later.records) == 2 and body(later)["phone_number"] == "+919812345679"


def test_a_newer_profile_gives_an_older_event_its_phone():
    (call,) = packed(item(), profiles={"c": Profile("c", {**PERSON, "phone": "+919812345679"})})
    assert body(call)["phone_number"] == "+919812345679"


def test_the_profile_of_another_address_never_goes_along():
    (call,) = packed(item(), profiles={"c": Profile("c", {**PERSON, "email": "new@example.com"})})
    assert body(call)["email"] == "asha@example.com"
    assert "profile_properties" not in body(call) and call.records == (Record(delivery_id="d"),)


def test_only_the_first_event_of_each_customer_is_packed():
    calls = packed(item("d1", "c1"), item("d2", "c2"), item("d3", "c1"), item("d4", "c2"), item("d5", "c3"))
    assert [call.delivery_ids for call in calls] == [["d1"], ["d2"], ["d5"]]


def test_the_first_event_that_can_be_sent_leaves():
    packing = contlo.pack_events(ACCOUNT, [item("d1", person={"email": ""}), item("d2")], {}, NOW)
    assert [call.delivery_ids for call in packing.calls] == [["d2"]] and set(packing.skipped) == {"d1"}


def test_contacts_alone_are_identified_one_a_call_and_only_with_news():
    profiles = [Profile("c", PERSON), Profile("n", {"email": ""}), Profile("e", {"email": "e@x.io"})]
    (call,) = contlo.pack_contacts(ACCOUNT, profiles, NOW).calls
    assert call.request.url == "https://api.contlo.com/v1/identify"
    assert body(call) == {
        "first_name": "Asha",
        "last_name": "Rao",
        "email": "asha@example.com",
        "phone_number": "+919812345678",
        "custom_properties": {"nector_customer_id": "c"},
    }
    known = Profile("c", PERSON, call.records[0].profile_hash)
    assert contlo.pack_contacts(ACCOUNT, [known], NOW).calls == ()


def test_the_key_is_marked_as_secret():
    (call,) = packed(item())
    assert call.request.secret_headers == {"X-API-KEY"}
    assert KEY["private_api_key"] not in call.request.url + call.request.body.decode()


def event_call() -> Call:
    return Call(Request("POST", "https://x"), (Record(customer_ref="c", profile_hash="h"), Record(delivery_id="d")))


def read(said, status=200):
    return contlo.read(event_call(), answer(said, status))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("said", [{"success": True}, {"success": "true"}, {"status": "ok"}, {}, {"success": None}, "", "  "])
def test_a_success_or_nothing_to_the_contrary_is_accepted_with_its_profile(status, said):
    reading = read(said, status)
    assert reading.verdict.outcome is Outcome.ACCEPTED and reading.contacts == {"c"}


@pytest.mark.parametrize("said", ["<html>", "null", "[]", "1", "{", '"success"', {"success": 3}, {"success": "maybe"}])
def test_an_unreadable_2xx_is_uncertain(said):
    reading = read(said)
    assert reading.verdict.outcome is Outcome.UNCERTAIN and not reading.contacts


@pytest.mark.parametrize(
    "error", ["Invalid API key", "Unauthorized", "unauthorised", "Forbidden", "api_key is missing", "Key is invalid"]
)
@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_refusal_that_names_the_key_is_the_integrations(error, status):
    verdict = read({"success": False, "error": error}, status).verdict
    assert verdict.outcome is Outcome.CONFIGURATION and error in verdict.message


@pytest.mark.parametrize("error", ["email or phone_number is required", "unknown property key", "", None, {"a": 1}])
def test_any_other_success_false_fails_this_event_alone(error):
    reading = read({"success": False, "error": error})
    assert reading.verdict.outcome is Outcome.PERMANENT and reading.verdict.message
    assert not reading.contacts and not reading.refused


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refused_request_fails(status):
    assert read("<html>", status).verdict.outcome is Outcome.PERMANENT


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_the_integrations_whatever_the_body(status):
    assert read("", status).verdict.outcome is Outcome.CONFIGURATION


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
@pytest.mark.parametrize("said", ["", {"success": False, "error": "Invalid API key"}])
def test_a_server_error_wins_over_what_its_body_says_and_uses_a_try(status, said):
    reading = read(said, status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds is None and not reading.verdict.max_tries


def test_429_asks_for_patience():
    reading = read("", 429)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds


def test_an_unknown_refusal_is_tried_once_more():
    verdict = read("", 409).verdict
    assert verdict.outcome is Outcome.TRANSIENT and verdict.max_tries == 2


def test_a_contact_refused_for_good_is_not_pushed_again():
    call = Call(Request("POST", "https://x"), (Record(customer_ref="c", profile_hash="h"),))
    reading = contlo.read(call, answer({"success": False, "error": "bad zip"}))
    assert reading.refused == {"c": "*"} and not reading.contacts


def test_initialize_reminds_of_the_app_until_staff_confirm_it():
    _requests, result = verify(contlo, ACCOUNT, answer({"success": True}))
    assert result.ok and "App Market" in result.detail
    _requests, result = verify(contlo, Account({"app_installed": True}, KEY, "email"), answer({"success": True}))
    assert result.ok and "App Market" not in result.detail


@pytest.mark.parametrize(
    "given", [Response(401, {}, ""), Response(403, {}, ""), answer({"success": False}), answer({"success": False}, 400)]
)
def test_a_wrong_key_is_said_with_the_fix(given):
    _requests, result = verify(contlo, ACCOUNT, given)
    assert not result.ok and result.reachable
    assert "Private API Key" in result.reason and "API Keys" in result.fix


@pytest.mark.parametrize("given", [DOWN, *(Response(status, {}, "") for status in (408, 425, 429, 500, 503))])
def test_an_unreachable_or_busy_provider_is_not_a_wrong_key(given):
    _requests, result = verify(contlo, ACCOUNT, given)
    assert not result.ok and not result.reachable and result.fix
    _requests, result = verify(contlo, ACCOUNT, Response(404, {}, ""), given)
    assert not result.ok and not result.reachable and result.fix


@pytest.mark.parametrize("given", [answer("<html>"), answer({}), answer(""), answer({"success": 1}), Response(400, {}, "")])
def test_an_answer_that_nobody_can_read_teaches_nothing_about_the_key(given):
    _requests, result = verify(contlo, ACCOUNT, given)
    assert not result.ok and not result.reachable


def test_where_the_check_is_gone_the_configuration_is_asked():
    requests, result = verify(contlo, ACCOUNT, Response(404, {}, "<html>"), answer(CONFIG))
    assert [(r.method, r.url) for r in requests] == [
        ("POST", "https://marketing.contlo.com/api/integrations/zapier"),
        ("GET", "https://marketing.contlo.com/v1/fetch_config"),
    ]
    assert all(r.headers["X-API-KEY"] == KEY["private_api_key"] and r.secret_headers for r in requests)
    assert result.ok


@pytest.mark.parametrize("given", [Response(401, {}, ""), Response(403, {}, ""), answer({"success": False})])
def test_the_configuration_refused_is_a_wrong_key(given):
    _requests, result = verify(contlo, ACCOUNT, Response(404, {}, ""), given)
    assert not result.ok and result.reachable


@pytest.mark.parametrize("given", [answer("<html>"), answer({}), answer({**CONFIG, "log_level": "1"}), Response(404, {}, "")])
def test_a_configuration_that_cannot_be_decoded_is_no_yes(given):
    _requests, result = verify(contlo, ACCOUNT, Response(404, {}, ""), given)
    assert not result.ok and not result.reachable


def test_a_base_url_replaces_every_host_and_keeps_its_path():
    target = Account({"host": "https://api1.contlo.com"}, KEY, "email", base_url="http://127.0.0.1:9/contlo")
    (call,) = packed(item(), target=target)
    (contact,) = contlo.pack_contacts(target, [Profile("c", PERSON)], NOW).calls
    requests, _result = verify(contlo, target, Response(404, {}, ""), answer(CONFIG))
    assert [r.url.removeprefix("http://127.0.0.1:9/contlo") for r in (call.request, contact.request, *requests)] == [
        "/v1/track",
        "/v1/identify",
        "/api/integrations/zapier",
        "/v1/fetch_config",
    ]


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("api1.contlo.com", "https://api1.contlo.com"),
        (" https://API1.contlo.com/ ", "https://api1.contlo.com"),
        ("https://api1.contlo.com/v1/", "https://api1.contlo.com"),
        ("https://marketing.contlo.com:443", "https://marketing.contlo.com"),
    ],
)
def test_the_api_address_is_read_from_what_people_paste(typed, host):
    assert contlo.clean("host", typed) == host
    (call,) = packed(item(), target=Account({"host": host}, KEY, "email"))
    assert call.request.url == f"{host}/v1/track"


INTERNAL = [
    "http://api.contlo.com",
    "localhost",
    "https://localhost",
    "metadata",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "169.254.169.254",
    "https://8.8.8.8",
    "[::1]",
    "https://[::1]/",
    "redis.internal",
    "a.localhost",
    "printer.local",
    "https://api.contlo.com:8443",
    "https://api.contlo.com/other",
    "https://user@api.contlo.com",
    "https://api.contlo.com?x=1",
    "https://api.contlo.com:x",
    "ftp://api.contlo.com",
    "api contlo.com",
    "https://",
    "api.contlo.com\\@127.0.0.1",
]


@pytest.mark.parametrize("typed", INTERNAL)
def test_an_address_that_is_not_public_https_is_refused(typed):
    with pytest.raises(ValueError, match=r"address|host name"):
        contlo.clean("host", typed)


@pytest.mark.parametrize("stored", INTERNAL)
def test_an_address_that_was_stored_unchecked_is_never_called(stored):
    target = Account({"host": stored}, KEY, "email")
    (call,) = packed(item(), target=target)
    assert call.request.url == "https://api.contlo.com/v1/track"
    with pytest.raises(StopIteration) as end:
        next(contlo.verify_steps(target))
    assert not end.value.value.ok and end.value.value.fix


@pytest.mark.parametrize("typed", ["abc def", "https://contlo.com", "x" * 201, "ключ", "a\x00b"])
def test_what_is_no_key_is_refused_with_what_to_do(typed):
    with pytest.raises(ValueError, match=r"[Cc]opy the"):
        contlo.clean("private_api_key", typed)


def test_a_key_of_another_shape_is_taken_since_the_shape_is_only_a_hint():
    assert contlo.clean("private_api_key", " Abc-1 ") == "Abc-1"


def test_a_property_without_a_name_is_left_out():
    (call,) = packed(item(properties={"": 1, "  ": 2, "coins": 5}))
    assert set(body(call)["properties"]) == {"nector_delivery_id", "occurred_at", "coins"}
