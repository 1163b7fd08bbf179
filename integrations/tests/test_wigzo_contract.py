"""Wigzo's module: what is special about it. Its contract cases are run by `test_conformance`."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest

from integrations.providers import get_provider
from integrations.providers.base import LAUNCH_FACTS, Account, Call, Event, Fault, InvalidName, Outcome, Profile, Record, Request
from integrations.tests.contract import DOWN, answer, verify

NOW = datetime(2026, 11, 22, tzinfo=UTC)
USER = "3f0c6a1e-5b7d-4c2a-9e41-7d2b8f6a0c13"
PERSON = {"customer_id": "c", "email": "asha@example.com", "phone": "+919812345678", "name": "Asha Rao"}
TOKENS = {"org_token": "AbCdEfGhIjKlMnOpQrStUv", "api_token": "0123456789abcdef0123456789"}
ACCOUNT = Account({}, TOKENS, "email", contact_email="owner@store.example", probe_id="b7e0f5d2-93a4-4c18-a6de-0f1c2b3a4d5e")
wigzo = get_provider("wigzo")


def item(delivery="d", ref="c", person=None, name="E", properties=None, when=NOW, user=USER) -> Event:
    return Event(delivery, name, ref, PERSON if person is None else person, properties or {}, when, user)


def packed(*events: Event, target=ACCOUNT) -> list[Call]:
    return list(wigzo.pack_events(target, events, {}, NOW).calls)


def contacts(*profiles: Profile, target=ACCOUNT, bulk=False) -> list[Call]:
    return list(wigzo.pack_contacts(target, profiles, NOW, bulk).calls)


def known(person=None, ref="c", pushed_hash="", user=USER) -> Profile:
    return Profile(ref, PERSON if person is None else person, pushed_hash, remote_id=user)


def body(call: Call) -> dict:
    return json.loads(call.request.body)


def values(**properties) -> dict:
    (call,) = packed(item(properties=properties))
    return body(call)["eventval"]


def test_it_says_what_the_outbox_needs_to_know():
    assert wigzo.identify_first and not wigzo.holds_attributes and not wigzo.fills_list
    assert wigzo.limits.records_per_call == wigzo.limits.contacts_per_call == 1
    assert wigzo.calls_per_second(ACCOUNT) is None


def test_ids_of_our_own_making_are_random_uuids_of_version_4():
    ids = {wigzo.new_remote_id() for _ in range(100)}
    assert len(ids) == 100 and all(uuid.UUID(made).version == 4 and str(uuid.UUID(made)) == made for made in ids)


# Events


def test_an_event_is_this_body_and_nothing_else():
    (call,) = packed(item("d1", name="walletreward_create", properties={"coins": 120}))
    assert body(call) == {
        "eventName": "walletreward_create",
        "eventval": {
            "email": "asha@example.com",
            "nector_delivery_id": "d1",
            "occurred_at": "2026-11-22T00:00:00Z",
            "coins": 120,
        },
        "eventCategory": "EXTERNAL",
        "userId": USER,
        "is_active": True,
        "source": "web",
    }
    assert call.records == (Record(delivery_id="d1"),)


def test_values_lose_what_is_null_at_every_level_and_stay_nested():
    given = {
        "coins": 0,
        "rate": 0.5,
        "no": False,
        "empty": "",
        "none": None,
        "nan": float("nan"),
        "order": {"id": "7", "note": None, "lines": [{"sku": "a", "x": float("inf")}, None, [None, 1]]},
    }
    kept = {"coins": 0, "rate": 0.5, "no": False, "empty": "", "order": {"id": "7", "lines": [{"sku": "a"}, [1]]}}
    assert values(**given).items() >= kept.items()
    assert not {"none", "nan"} & values(**given).keys()


def test_values_that_json_does_not_have_become_texts():
    moment = datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5)))
    assert values(at=moment, id=uuid.UUID(USER)).items() >= {"at": "2026-01-01T00:00:00Z", "id": USER}.items()


def test_values_that_are_nested_without_end_are_cut():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    assert len(json.dumps(values(deep=deep))) < 1000


def test_an_event_without_properties_still_has_values():
    assert values().keys() == {"email", "nector_delivery_id", "occurred_at"}


def test_our_own_values_are_not_overwritten_and_come_first():
    given = {"nector_delivery_id": "x", "occurred_at": "y", "email": "z", "coins": 1}
    assert list(values(**given).items()) == [
        ("email", "asha@example.com"),
        ("nector_delivery_id", "d"),
        ("occurred_at", "2026-11-22T00:00:00Z"),
        ("coins", 1),
    ]


def test_a_time_leaves_in_utc():
    (call,) = packed(item(when=datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5)))))
    assert body(call)["eventval"]["occurred_at"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("email", [None, "", "  ", "asha", "asha@", "asha@example", "a b@example.com", f"{'a' * 250}@x.io"])
def test_a_customer_without_a_usable_email_is_skipped_without_a_call(email):
    packing = wigzo.pack_events(ACCOUNT, [item(person={**PERSON, "email": email})], {}, NOW)
    assert not packing.calls and "email" in packing.skipped["d"]
    assert contacts(known({**PERSON, "email": email})) == []


@pytest.mark.parametrize("name", ["", "  "])
def test_an_event_without_a_name_is_never_sent(name):
    packing = wigzo.pack_events(ACCOUNT, [item(name=name)], {}, NOW)
    assert not packing.calls and set(packing.skipped) == {"d"}


def test_the_email_alone_names_the_customer_whatever_the_common_property_says():
    assert wigzo.identity(PERSON, "customer_id") == "asha@example.com"
    assert wigzo.identity({"customer_id": "c", "phone": "+919812345678"}, "phone") is None


def test_only_the_first_event_of_each_customer_is_packed():
    calls = packed(item("d1", "c1"), item("d2", "c2"), item("d3", "c1"), item("d4", "c2"), item("d5", "c3"))
    assert [call.delivery_ids for call in calls] == [["d1"], ["d2"], ["d5"]]


def test_the_first_event_that_can_be_sent_leaves():
    packing = wigzo.pack_events(ACCOUNT, [item("d1", person={"email": ""}), item("d2")], {}, NOW)
    assert [call.delivery_ids for call in packing.calls] == [["d2"]] and set(packing.skipped) == {"d1"}


def test_a_preview_without_a_stored_id_shows_a_sample_that_is_nobodys():
    (call,) = packed(item(user=""))
    assert body(call)["userId"] == "00000000-0000-4000-8000-000000000000"
    assert uuid.UUID(body(call)["userId"]).version == 4


def test_both_tokens_are_in_the_query_encoded_in_order_and_marked_secret():
    odd = {"org_token": "a/b+c=d", "api_token": "x&y%z"}
    for call in [*packed(item(), target=Account({}, odd)), *contacts(known(), target=Account({}, odd))]:
        query = urlsplit(call.request.url).query
        assert query == "token=x%26y%25z&org_token=a%2Fb%2Bc%3Dd"
        assert parse_qsl(query) == [("token", "x&y%z"), ("org_token", "a/b+c=d")]
        assert call.request.secret_params == {"token", "org_token"} and not call.request.secret_headers
        assert "x&y" not in call.request.body.decode() and "a/b" not in call.request.body.decode()


def test_a_request_does_not_show_its_address_when_printed():
    (call,) = packed(item())
    assert TOKENS["org_token"] not in repr(call) and TOKENS["api_token"] not in repr(call)


# Contacts


def test_a_contact_is_this_body_and_nothing_else():
    (call,) = contacts(known())
    assert body(call) == {
        "userId": USER,
        "email": "asha@example.com",
        "phone": "+919812345678",
        "firstName": "Asha",
        "lastName": "Rao",
        "customer_id": "c",
        "is_active": True,
        "source": "web",
    }
    (record,) = call.records
    assert (record.customer_ref, record.delivery_id) == ("c", "") and record.profile_hash


@pytest.mark.parametrize("phone", [None, "", "9812345678", "+44+441234", "+1"])
def test_a_phone_without_country_code_is_absent_never_empty(phone):
    (call,) = contacts(known({**PERSON, "phone": phone}))
    assert "phone" not in body(call)


def test_what_is_not_known_of_a_contact_is_absent():
    (call,) = contacts(known({"email": "asha@example.com", "name": " ", "customer_id": None, "phone": ""}))
    assert body(call) == {"userId": USER, "email": "asha@example.com", "is_active": True, "source": "web"}


@pytest.mark.parametrize(
    ("person", "names"),
    [
        ({"name": "Asha"}, {"firstName": "Asha"}),
        ({"name": " Asha Devi Rao "}, {"firstName": "Asha", "lastName": "Devi Rao"}),
        ({"name": "A B", "first_name": "Asha", "last_name": "Rao"}, {"firstName": "Asha", "lastName": "Rao"}),
    ],
)
def test_names_are_the_first_word_and_the_rest(person, names):
    (call,) = contacts(known({"email": "asha@example.com", **person}))
    assert {key: value for key, value in body(call).items() if key.endswith("Name")} == names


def test_attributes_and_consent_are_not_sent_since_the_fields_are_fixed():
    profile = Profile("c", {**PERSON, "consent": True, "custom": {"a": 1}}, remote_id=USER, attributes={"nector_coins": 5})
    (call,) = contacts(profile)
    assert body(call) == body(contacts(known())[0])


def test_a_contact_is_identified_again_only_when_something_changed():
    (call,) = contacts(known())
    pushed = call.records[0].profile_hash
    assert contacts(known(pushed_hash=pushed)) == []
    for changed in (known({**PERSON, "name": "Asha R"}, pushed_hash=pushed), known(pushed_hash=pushed, user=str(uuid.uuid4()))):
        (again,) = contacts(changed)
        assert again.records[0].profile_hash != pushed


@pytest.mark.parametrize("bulk", [False, True])
def test_contacts_go_one_a_call(bulk):
    calls = contacts(known(ref="a"), known(ref="b"), known({"email": ""}, ref="n"), bulk=bulk)
    assert [[record.customer_ref for record in call.records] for call in calls] == [["a"], ["b"]]
    assert all(urlsplit(call.request.url).path == "/rest/v1/learn/identify" for call in calls)


def test_a_contact_without_a_stored_id_is_left_out_since_two_must_never_share_one():
    assert contacts(known(user="")) == []


# Answers


def event_call() -> Call:
    return Call(Request("POST", "https://x"), (Record(delivery_id="d"),))


def contact_call() -> Call:
    return Call(Request("POST", "https://x"), (Record(customer_ref="c", profile_hash="h"),))


def read(said, status=200):
    return wigzo.read(event_call(), answer(said, status))


YES = ["", "  ", "{}", "null", "[]", "1", "true", '"ok"', {"status": "success"}, {"status": "SUCCESS"}, {"status": 200}]
YES += [{"code": 200}, {"code": "200", "message": "Organization updated"}, {"success": True}, {"success": "true"}]
YES += [{"status": "success", "code": 0, "message": "token ok"}, {"error": None}, {"error": False}, {"errors": []}]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("said", YES)
def test_a_2xx_without_the_mark_of_an_error_is_accepted(said, status):
    assert read(said, status).verdict.outcome is Outcome.ACCEPTED
    assert wigzo.read(contact_call(), answer(said, status)).contacts == {"c"}


NO = [{"status": "error"}, {"status": "fail"}, {"status": "failure"}, {"status": "Error"}, {"success": False}]
NO += [{"success": "false"}, {"code": 400}, {"code": "422"}, {"code": 500.0}, {"status": 400}, {"error": "bad"}, '"error"']
NO += [[{"status": "error", "message": "x"}], {"status": "error", "message": {"a": 1}}, "false"]


@pytest.mark.parametrize("said", NO)
def test_a_2xx_with_the_mark_of_an_error_fails_this_event_alone(said):
    reading = read(said)
    assert reading.verdict.outcome is Outcome.PERMANENT and reading.verdict.message and reading.hold_seconds is None
    assert not reading.contacts and not reading.refused


@pytest.mark.parametrize("said", ["<html>", "OK", "{", "{'status': 'success'}", "[" * 100_000])
def test_an_unreadable_2xx_is_uncertain(said):
    reading = read(said)
    assert reading.verdict.outcome is Outcome.UNCERTAIN and not reading.contacts


ABOUT_TOKENS = [
    "Invalid token",
    "invalid_token",
    "TOKEN_EXPIRED",
    "token mismatch",
    "org_token is required",
    "Organization not found",
]
ABOUT_TOKENS += [
    "Unknown org",
    "Unauthorized",
    "unauthorised",
    "not_authorized",
    "Forbidden",
    "Bad credentials",
    "orgToken missing",
]
ABOUT_TOKENS += ["Authentication failed", "Access denied", "No such organisation"]


@pytest.mark.parametrize("words", ABOUT_TOKENS)
def test_a_refusal_that_speaks_of_the_tokens_is_the_integrations(words):
    bodies = [({"status": "error", "message": words}, 200), ({"success": False, "error": words}, 200), ({"message": words}, 400)]
    for said, status in [*bodies, (words, 400), ({"errors": [words]}, 422)]:
        verdict = read(said, status).verdict
        assert verdict.outcome is Outcome.CONFIGURATION and words in verdict.message


@pytest.mark.parametrize("code", [401, "401", 403])
def test_a_2xx_with_the_code_of_refused_tokens_is_the_integrations(code):
    assert read({"code": code}).verdict.outcome is Outcome.CONFIGURATION


@pytest.mark.parametrize(
    "words",
    ["eventval.token is too long", "asha@example.org is no email", "eventval is required", "coupon_token unknown", "", None],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_refusal_that_only_quotes_such_a_word_fails_the_event_alone(words, status):
    assert read({"status": "error", "message": words}, status).verdict.outcome is Outcome.PERMANENT


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422])
@pytest.mark.parametrize("said", ["", "<html>forbidden token</html>", {"message": "eventName is required"}])
def test_a_refused_request_fails(status, said):
    reading = read(said, status)
    assert reading.verdict.outcome is Outcome.PERMANENT and reading.verdict.message and not reading.refused


def test_404_says_that_the_address_may_have_moved():
    message = read({"message": "No token here"}, 404).verdict.message
    assert "may have moved" in message and "No token here" in message


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("said", ["", "<html>", {"status": "success"}])
def test_refused_tokens_are_the_integrations_whatever_the_body(status, said):
    assert read(said, status).verdict.outcome is Outcome.CONFIGURATION


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
@pytest.mark.parametrize("said", ["", {"status": "error", "message": "Invalid token"}, {"status": "success"}])
def test_a_server_error_wins_over_what_its_body_says_and_uses_a_try(status, said):
    reading = read(said, status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds is None and not reading.verdict.max_tries


def test_429_asks_for_patience():
    reading = read("", 429)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds


def test_an_unknown_refusal_is_tried_once_more():
    verdict = read("", 410).verdict
    assert verdict.outcome is Outcome.TRANSIENT and verdict.max_tries == 2


@pytest.mark.parametrize(("said", "status"), [({"message": "email is not valid"}, 400), ({"status": "error"}, 200), ("", 404)])
def test_a_contact_refused_for_good_is_refused_as_a_whole(said, status):
    reading = wigzo.read(contact_call(), answer(said, status))
    assert reading.refused == {"c": "*"} and not reading.contacts


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_contact_that_was_not_refused_for_good_is_tried_again(status):
    reading = wigzo.read(contact_call(), answer("", status))
    assert not reading.refused and not reading.contacts


# Initialize


def refused_locally(target: Account):
    with pytest.raises(StopIteration) as end:
        next(wigzo.verify_steps(target))
    result = end.value.value
    assert not result.ok and result.reachable
    return result


def test_success_says_plainly_that_the_api_token_is_not_proven():
    for said in ("", {"status": "success"}):
        (request,), result = verify(wigzo, ACCOUNT, answer(said))
        assert result.ok and "Wigzo took a test profile" in result.detail
        assert "cannot confirm the API token" in result.detail
    assert json.loads(request.body) == {
        "userId": ACCOUNT.probe_id,
        "email": "owner@store.example",
        "is_active": True,
        "source": "web",
    }
    assert request.secret_params == {"token", "org_token"}


@pytest.mark.parametrize(("name", "label"), [("org_token", "Org token"), ("api_token", "API token")])
@pytest.mark.parametrize("value", ["", "  ", "\n", "a b", "https://app.wigzo.com/x", "ключ"])
def test_a_token_that_cannot_be_right_is_refused_without_a_call(name, label, value):
    result = refused_locally(Account({}, {**TOKENS, name: value}, "email"))
    assert result.reason.startswith(label) and label in result.fix


def test_a_token_that_is_not_there_at_all_is_refused_without_a_call():
    assert refused_locally(Account({}, {}, "email")).fix


def test_the_same_value_for_both_tokens_is_refused_without_a_call():
    result = refused_locally(Account({}, {"org_token": "AbC", "api_token": " AbC "}, "email"))
    assert "same value" in result.reason and "two different values" in result.fix


@pytest.mark.parametrize(
    ("said", "status"),
    [("", 401), ("", 403), ({"message": "Invalid token"}, 400), ({"status": "error", "message": "Unknown org"}, 200)],
)
def test_wrong_tokens_are_said_with_the_fix(said, status):
    _requests, result = verify(wigzo, ACCOUNT, answer(said, status))
    assert not result.ok and result.reachable
    assert "Org token or the API token" in result.reason and "Settings > Integration" in result.fix


@pytest.mark.parametrize("given", [DOWN, Fault("redirect", "302", False), *(answer("", s) for s in (408, 425, 429, 500, 503))])
def test_an_unreachable_or_busy_provider_is_not_a_wrong_token(given):
    _requests, result = verify(wigzo, ACCOUNT, given)
    assert not result.ok and not result.reachable and "Nothing was learned" in result.fix


@pytest.mark.parametrize(
    ("said", "status"), [("<html>", 200), ("", 404), ({"message": "email is not valid"}, 400), ({"status": "error"}, 200)]
)
def test_an_answer_that_is_not_about_the_tokens_teaches_nothing(said, status):
    _requests, result = verify(wigzo, ACCOUNT, answer(said, status))
    assert not result.ok and not result.reachable and "Nothing was learned" in result.fix


# Addresses and typed values


def test_the_usual_address_another_one_and_one_that_replaces_it():
    def url(settings, base_url=""):
        (call,) = packed(item(), target=Account(settings, TOKENS, "email", base_url))
        return call.request.url.partition("?")[0]

    assert url({}) == "https://tracker.wigzopush.com/rest/v1/learn/event"
    assert url({"host": ""}) == "https://tracker.wigzopush.com/rest/v1/learn/event"
    assert url({"host": "app.wigzo.com"}) == "https://app.wigzo.com/rest/v1/learn/event"
    assert (
        url({"host": "https://app.wigzo.com"}, "http://127.0.0.1:8077/wigzo/")
        == "http://127.0.0.1:8077/wigzo/rest/v1/learn/event"
    )


@pytest.mark.parametrize("stored", ["http://tracker.wigzopush.com", "https://10.0.0.1", "redis.internal", "https://x.io/a?b=c"])
def test_an_address_that_was_stored_unchecked_is_never_called(stored):
    (call,) = packed(item(), target=Account({"host": stored}, TOKENS, "email"))
    assert call.request.url.startswith("https://tracker.wigzopush.com/rest/v1/learn/event?")
    assert "API address" in refused_locally(Account({"host": stored}, TOKENS, "email")).reason


@pytest.mark.parametrize("typed", ["http://app.wigzo.com", "https://127.0.0.1", "https://app.wigzo.com/rest/v1/learn/event"])
def test_an_address_that_is_not_public_https_is_refused(typed):
    with pytest.raises(ValueError, match=r"host name"):
        wigzo.clean("host", typed)
    assert wigzo.clean("host", " App.Wigzo.com/ ") == "https://app.wigzo.com"


@pytest.mark.parametrize("name", ["org_token", "api_token"])
@pytest.mark.parametrize(
    "typed", ["", " ", "abc def", "a\nb", "https://app.wigzo.com/integration", "www.wigzo.com", "токен", "x" * 501, "a\x00b"]
)
def test_what_is_no_token_is_refused_with_what_to_do(name, typed):
    with pytest.raises(ValueError, match=r"[Cc]opy"):
        wigzo.clean(name, typed)


@pytest.mark.parametrize("typed", [" AbC-1_ ", "12345678-1234-4234-8234-123456789012", "A", "f" * 64])
def test_a_token_of_any_shape_is_taken_and_its_case_kept(typed):
    assert wigzo.clean("org_token", typed) == wigzo.clean("api_token", typed) == typed.strip()


RESERVED = ["product_view", "order_completed", "checkout_started", "addtocart", "buy", "order", "view", "search", "wishlist"]
RESERVED += [
    "removedfromcart",
    "review",
    "registered",
    "loggedin",
    "loggedout",
    "share",
    "like",
    "rate",
    "book",
    "checkout",
    "item",
]
RESERVED += [
    "join",
    "listen",
    "watch",
    "watchlater",
    "other",
    "addtoplaylist",
    "addtowishlist",
    "cart_value",
    "identify",
    "index",
]


@pytest.mark.parametrize(
    "name", ["", "  ", *RESERVED, " Order ", "ADDTOCART", "Add to Cart", "add-to-cart", "Product View", "logged_in"]
)
def test_empty_and_reserved_names_are_refused_in_words(name):
    with pytest.raises(InvalidName, match=r"Choose another|Give the event"):
        wigzo.event_name(name)


@pytest.mark.parametrize("name", ["walletreward_create", "Wallet Coins Rewarded", "Order Rewarded", "Prämie für Ásha", "reviews"])
def test_other_names_leave_trimmed_and_as_typed(name):
    assert wigzo.event_name(f"  {name} ") == name
    assert wigzo.default_event_name("walletreward_create") == "walletreward_create"


# The guide


def test_the_guide_has_its_steps_in_order_and_every_field_once():
    steps = wigzo.guide.steps
    titles = ["Org token and API token", "Common property", "Initialize", "Create an event", "Send test event"]
    assert [str(step.title) for step in steps] == [*titles, "In Wigzo: build the flow"]
    assert [name for step in steps for name in step.fields] == ["org_token", "api_token", "host", "common_property"]
    assert [field.name for field in wigzo.fields if field.secret] == ["org_token", "api_token"]
    assert [key for key, _label in wigzo.identities] == ["email"]


def test_the_guide_says_what_wigzo_cannot_confirm():
    assert "cannot confirm the API token" in str(wigzo.guide.caveats[0])
    assert any("cannot confirm the API token" in str(caveat) for caveat in wigzo.guide.caveats)
    assert "already be a customer" in str(wigzo.guide.steps[4].body)


def test_the_journey_names_the_trigger_and_promises_no_syntax():
    journey = wigzo.guide.journey
    assert sum("%(event)s" in str(step) for step in journey.steps) == 1
    assert "“E”" in " ".join(str(step) % {"event": "E"} for step in journey.steps)
    assert journey.snippet == "" and "publishes no syntax" in str(journey.syntax_note)


def test_the_launch_list_has_facts_and_lines_by_hand():
    facts = [entry.fact for entry in wigzo.guide.launch if entry.fact]
    assert set(facts) == LAUNCH_FACTS and len(facts) == len(LAUNCH_FACTS)
    assert len({entry.key for entry in wigzo.guide.launch}) == len(wigzo.guide.launch) > len(facts)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("unauthorized", Outcome.CONFIGURATION), ("Forbidden", Outcome.CONFIGURATION), ("invalid", Outcome.PERMANENT)],
)
def test_a_status_in_the_body_that_says_no_is_no_yes(status, outcome):
    assert read({"status": status}).verdict.outcome is outcome
