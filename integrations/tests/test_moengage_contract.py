"""MoEngage's module: what is special about it. Its contract cases are run by `test_conformance`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from integrations.providers import get_provider
from integrations.providers.base import Account, Call, Event, Fault, InvalidName, Outcome, Profile, Record, Request, Response

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WORKSPACE = "TESTWORKSPACE000000000001"
PERSON = {"customer_id": "c-1", "name": "Asha Rao", "email": "asha@example.com", "phone": "+919876543210"}
OK = {"status": "success", "message": "Your request has been accepted and will be processed soon."}
moengage = get_provider("moengage")


def account(**settings) -> Account:
    return Account({"workspace_id": WORKSPACE, "server_prefix": "03", **settings}, {"data_api_key": "test_data_key_123"})


def event(delivery="d1", customer="c-1", properties=None, when=NOW, name="WalletRewardCreate") -> Event:
    return Event(delivery, name, customer, {"customer_id": customer}, properties or {}, when)


def verify(answer, target=None):
    steps = moengage.verify_steps(target or account())
    request = next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer)
    return request, end.value.value


def test_initialize_says_to_which_workspace_it_connected():
    _request, result = verify(Response(200, {}, '{"status":"success","app_name":"Acme Prod"}'))
    assert result.ok and result.detail == "Connected to workspace Acme Prod (data centre 03)."


def refusal(message="", kind="", **more) -> str:
    return json.dumps({"status": "fail", "error": {"message": message, "type": kind, "request_id": "x", **more}})


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, refusal("Invalid APP_ID used in Authentication Header", "Authentication required")),
        (401, ""),
        (200, '{"status":"error"}'),
        (400, refusal("Given app_id is invalid.", "InvalidParams")),
        (409, refusal("x", "Authentication Mismatch")),
    ],
)
def test_refused_credentials_name_all_three_values(status, body):
    _request, result = verify(Response(status, {}, body))
    assert not result.ok and result.reachable
    for word in ("Workspace ID", "Data key", "data centre"):
        assert word in result.reason + result.fix
    assert "not Push" in result.fix


IP_REFUSED = '{"error":"IP Validation Required","message":"IP Validation Failed. Please check your IP!!"}'
BLOCKS = [
    (403, IP_REFUSED, "listed IP addresses"),
    (403, refusal("Your account is suspended.", "Account Suspended"), "suspended"),
    (403, refusal("Try later", "Account Temporarily Suspended"), "for a while"),
    (403, refusal("Blocked", "BlockedClient"), "blocked"),
    (403, refusal("No scope", "Forbidden"), "does not let this key"),
    (400, refusal("Your account is blacklisted", "Blacklisted"), "blocked or suspended"),
    (409, refusal("App key mismatch in params and authentication", "Authentication Mismatch"), "differ"),
    (409, refusal("App Secret key is not set. Please login to the dashboard to set a key", "x"), "No Data key"),
]


@pytest.mark.parametrize(("status", "body", "words"), BLOCKS)
def test_a_blocked_account_is_told_from_a_wrong_key(status, body, words):
    _request, result = verify(Response(status, {}, body))
    assert not result.ok and result.reachable and words in result.reason and result.fix
    verdict = read(call_of("a"), body, status).verdict
    assert verdict.outcome is Outcome.CONFIGURATION and words in verdict.message


@pytest.mark.parametrize(
    "answer",
    [Fault("dns", "no name", False), *(Response(status, {}, "") for status in (429, 500, 503)), Response(200, {}, "<html>")],
)
def test_an_unreachable_or_busy_provider_is_not_a_wrong_key(answer):
    _request, result = verify(answer)
    assert not result.ok and not result.reachable and result.reason and result.fix


@pytest.mark.parametrize("prefix", ["", "7", "00", "102", "in1", "http://[", "dashboard-03.evil.com", None])
def test_an_unknown_data_centre_is_an_error_before_any_call_and_never_another_one(prefix):
    target = account(server_prefix=prefix)
    with pytest.raises(StopIteration) as end:
        next(moengage.verify_steps(target))
    assert not end.value.value.ok and end.value.value.reachable and "03" in end.value.value.fix
    with pytest.raises(ValueError, match="data centre"):
        moengage.pack_events(target, [event()], {}, NOW)


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        ("1", "01"),
        (" 03 ", "03"),
        ("101", "101"),
        ("https://dashboard-03.moengage.com/v4/#/settings/apis", "03"),
        ("DASHBOARD-101.moengage.com", "101"),
        ("dashboard-06", "06"),
        ("https://api-02.moengage.com", "02"),
    ],
)
def test_the_prefix_is_read_from_what_people_paste(typed, prefix):
    assert moengage.clean("server_prefix", typed) == prefix


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("server_prefix", "7"),
        ("workspace_id", "SHORT"),
        ("workspace_id", "WORKSPACE 000000001"),
        ("data_api_key", "two words"),
        ("data_api_key", "x" * 201),
        ("project_code", "a b"),
        ("egress_ip", "300.1.1.1"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_do(name, typed):
    with pytest.raises(ValueError, match=r"\w+"):
        moengage.clean(name, typed)


def test_right_values_are_trimmed():
    assert moengage.clean("workspace_id", f" {WORKSPACE} ") == WORKSPACE
    assert moengage.clean("data_api_key", " k ") == "k"
    assert moengage.clean("egress_ip", " 203.0.113.7") == "203.0.113.7"
    assert moengage.clean("allow_bulk", "false") == "false"


def call_of(*ids: str, profiles: int = 0) -> Call:
    known = [Record(customer_ref=f"c{n}", profile_hash="h") for n in range(profiles)]
    return Call(Request("POST", "https://x"), (*known, *(Record(delivery_id=key) for key in ids)))


def read(call: Call, body: object, status: int = 200, headers=None):
    return moengage.read(call, Response(status, headers or {}, body if isinstance(body, str) else json.dumps(body)))


def test_a_success_is_one_for_every_event_and_profile():
    reading = read(call_of("a", "b", profiles=2), OK)
    assert reading.verdict.outcome is Outcome.ACCEPTED and not reading.deliveries
    assert reading.contacts == {"c0", "c1"}


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"foo":1}', '"success"', "{"])
def test_an_unreadable_2xx_is_uncertain(body):
    assert read(call_of("a"), body).verdict.outcome is Outcome.UNCERTAIN


def test_a_failure_inside_a_200_is_not_accepted():
    reading = read(call_of("a", profiles=1), '{"status":"fail","title":"T","description":"Something broke"}')
    assert reading.verdict.outcome is Outcome.TRANSIENT and "Something broke" in reading.verdict.message
    assert not reading.contacts


@pytest.mark.parametrize(
    ("message", "kind"),
    [("Given app_id is invalid.", "InvalidParams"), ("project_code", "ParamsRequired"), ("x", "Blacklisted")],
)
def test_a_400_about_the_account_stops_the_integration_and_burns_nothing(message, kind):
    reading = read(call_of("a", "b"), refusal(message, kind), 400)
    assert reading.verdict.outcome is Outcome.CONFIGURATION and not reading.split


def test_a_400_about_the_content_is_split_and_keeps_the_attribute():
    reading = read(call_of("a", "b"), refusal("action is not found", "MissingAttributeError", attribute="action"), 400)
    assert reading.verdict.outcome is Outcome.PERMANENT and reading.split
    assert reading.verdict.message == "action is not found (action)"


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_profile_does_not_take_its_event_along(status):
    reading = read(call_of("a", profiles=1), refusal("bad", "ArrayFieldError"), status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.refused == {"c0": "*"}
    known = Profile("c-1", PERSON, refused=["*"])
    (call,) = moengage.pack_events(account(), [event()], {"c-1": known}, NOW).calls
    assert "/v1/event/" in call.request.url, "it goes without the profile from then on"
    assert read(call_of("a"), refusal("bad"), status).verdict.outcome is Outcome.PERMANENT


def test_a_body_that_is_too_large_is_split_and_our_own_mistake_is_not():
    assert read(call_of("a", "b"), refusal("Payload size exceeds 128 KB", "PayloadTooLarge"), 413).split
    wrong_type = read(call_of("a", "b"), refusal("Unsupported Media Type"), 415)
    assert wrong_type.verdict.outcome is Outcome.PERMANENT and not wrong_type.split


DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": "3600"}, 3600),
        ({"x-ratelimit-reset": "0"}, 1),
        ({"x-ratelimit-reset": str(EPOCH + 45), "date": DATE}, 45),
        ({"x-ratelimit-reset": str((EPOCH + 45) * 1000), "date": DATE}, 45),
        ({"x-ratelimit-reset": str(EPOCH - 45), "date": DATE}, 1),
        ({"x-ratelimit-reset": str(EPOCH + 99999), "date": DATE}, 3600),
        ({"x-ratelimit-reset": str(EPOCH + 45)}, 10),
        ({"x-ratelimit-reset": str(EPOCH + 45), "date": "yesterday"}, 10),
        ({"x-ratelimit-reset": "soon"}, 10),
        ({"x-ratelimit-reset": "nan"}, 10),
        ({}, 10),
    ],
)
def test_the_reset_header_is_read_in_both_its_meanings(headers, seconds):
    reading = read(call_of("a"), refusal("Rate limits for customers exceeded.", "RateLimitError"), 429, headers)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds == seconds


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_server_errors_are_transient_and_use_a_try(status):
    reading = read(call_of("a"), "<html>", status)
    assert reading.verdict.outcome is Outcome.TRANSIENT and reading.hold_seconds is None


def action(properties=None, target=None, **options):
    call = moengage.pack_events(target or account(), [event(properties=properties, **options)], {}, NOW).calls[0]
    return json.loads(call.request.body)["actions"][0]


def test_values_are_cleaned_as_the_contract_wants():
    data = action(
        {
            "nothing": None,
            "nan": float("nan"),
            "yes": True,
            "long": "é" * 600,
            "url": "https://shop.example/" + "x" * 500,
            "list": ["x", None, "y" * 600],
            "many": list(range(80)),
            "mixed": ["x", 1],
            "none": [],
            "object": {"a": {"b": 1}},
            "expires_at": "2026-11-30T05:30:00+05:30",
            "first": "0001-01-01T00:00:00+05:00",
            "day": "2026-11-30",
            "bad$key.x y": 1,
            "moe_x": 1,
            "transaction_id": "8123",
            "k" * 300: 1,
        }
    )["attributes"]
    assert not {"nothing", "nan", "url", "none", "transaction_id"} & set(data)
    assert data["yes"] is True and data["long"] == "é" * 512
    assert data["list"] == ["x", "y" * 512] and data["many"] == list(range(50)) and data["mixed"] == '["x",1]'
    assert data["object_a_b"] == 1 and data["bad_key_x_y"] == 1 and data["nector_moe_x"] == 1
    assert data["expires_at"] == "2026-11-30T00:00:00Z" and data["day"] == "2026-11-30" and data["first"].startswith("0001")
    assert data["nector_transaction_id"] == "8123" and data["k" * 200] == 1 and data["nector_delivery_id"] == "d1"


def test_at_most_a_hundred_attributes_and_ours_among_them():
    data = action({f"p{i}": i for i in range(150)})["attributes"]
    assert len(data) == 100 and data["nector_delivery_id"] == "d1"


def test_a_future_time_is_clamped_to_now():
    assert action(when=NOW + timedelta(hours=1))["current_time"] == "2026-11-22T12:00:00Z"
    assert action(when=NOW - timedelta(hours=1))["current_time"] == "2026-11-22T11:00:00Z"


@pytest.mark.parametrize(("value", "is_on"), [(True, True), ("true", True), (False, False), ("false", False), (None, False)])
def test_the_real_time_switch_stands_in_the_action(value, is_on):
    assert action(target=account(real_time_action=value)).get("real_time_action") == ("true" if is_on else None)


def test_our_address_goes_along_where_it_is_set():
    (call,) = moengage.pack_events(account(egress_ip="203.0.113.7"), [event()], {}, NOW).calls
    assert call.request.headers["X-Forwarded-For"] == "203.0.113.7"
    assert "X-Forwarded-For" not in moengage.pack_events(account(), [event()], {}, NOW).calls[0].request.headers


BANNED = "unknown guest null 0 1 2 -1 -2 true false none na n/a '' (empty) id uid userid user_id customer_id 7 NULL N/A"


@pytest.mark.parametrize("value", [*BANNED.split(), "user_attribute_unique_id", "dummy_seller_code", "", "  ", None, 0])
def test_a_customer_without_a_usable_identity_is_skipped_without_a_call(value):
    packed = moengage.pack_events(account(), [event(customer=value)], {}, NOW)
    assert not packed.calls and set(packed.skipped) == {"d1"} and "customer_id" in packed.skipped["d1"]


def test_numbers_are_identities_as_text():
    assert moengage.identity({"customer_id": 6937201}, "customer_id") == "6937201"


def elements(call: Call) -> list[dict]:
    return json.loads(call.request.body)["elements"]


def test_three_known_customers_get_a_call_each_and_a_fourth_makes_it_bulk():
    events = [event(f"d{n}", f"c-{n % 4}") for n in range(8)]
    few = moengage.pack_events(account(), [item for item in events if item.customer_ref != "c-3"], {}, NOW).calls
    assert ["/v1/event/" in call.request.url for call in few] == [True] * 3
    assert [call.delivery_ids for call in few] == [["d0", "d4"], ["d1", "d5"], ["d2", "d6"]]
    (bulk,) = moengage.pack_events(account(), events, {}, NOW).calls
    assert bulk.request.url == f"https://api-03.moengage.com/v1/transition/{WORKSPACE}"
    assert bulk.delivery_ids == ["d0", "d4", "d1", "d5", "d2", "d6", "d3", "d7"]
    assert [item["customer_id"] for item in elements(bulk)] == ["c-0", "c-0", "c-1", "c-1", "c-2", "c-2", "c-3", "c-3"]
    assert json.loads(bulk.request.body)["type"] == "transition"


def test_news_travels_in_bulk_before_the_events():
    (call,) = moengage.pack_events(account(), [event("d1"), event("d2")], {"c-1": Profile("c-1", PERSON)}, NOW).calls
    assert [item["type"] for item in elements(call)] == ["customer", "event", "event"]
    assert elements(call)[0] == {
        "type": "customer",
        "customer_id": "c-1",
        "update_existing_only": False,
        "attributes": {"u_n": "Asha Rao", "u_em": "asha@example.com", "u_mb": "919876543210"},
    }
    assert call.records[0].customer_ref == "c-1" and call.records[0].profile_hash and not call.records[0].delivery_id


def test_a_profile_that_is_known_already_is_no_news():
    (call,) = moengage.pack_events(account(), [event()], {"c-1": Profile("c-1", PERSON)}, NOW).calls
    known = Profile("c-1", PERSON, call.records[0].profile_hash)
    (again,) = moengage.pack_events(account(), [event()], {"c-1": known}, NOW).calls
    assert "/v1/event/" in again.request.url and len(again.records) == 1


@pytest.mark.parametrize("switch", [False, "false"])
def test_without_bulk_every_customer_has_a_call_and_news_one_beside_it(switch):
    target = account(allow_bulk=switch)
    events = [event(f"d{n}", f"c-{n}") for n in range(5)]
    calls = moengage.pack_events(target, events, {"c-0": Profile("c-0", PERSON | {"customer_id": "c-0"})}, NOW).calls
    kinds = [call.request.url.rsplit("/", 2)[1] for call in calls]
    assert kinds == ["customer", "event", "event", "event", "event", "event"]
    assert not calls[0].delivery_ids and calls[0].records[0].customer_ref == "c-0"
    assert json.loads(calls[0].request.body)["type"] == "customer"
    (alone,) = moengage.pack_contacts(target, [Profile("c-0", PERSON)], NOW).calls
    assert f"/v1/customer/{WORKSPACE}" in alone.request.url


def test_contacts_alone_travel_in_bulk():
    people = [Profile(f"c-{n}", PERSON | {"customer_id": f"c-{n}"}) for n in range(150)]
    calls = moengage.pack_contacts(account(), people, NOW).calls
    assert [len(call.records) for call in calls] == [100, 50]


def test_a_bulk_call_stays_within_a_hundred_kilobytes_and_an_event_call_within_128():
    text = {f"p{n}": "ü" * 512 for n in range(9)}  # about 9.4 KB an event
    events = [event(f"d{n:02}", f"c-{n % 5}", text) for n in range(40)]
    calls = moengage.pack_events(account(), events, {}, NOW).calls
    assert len(calls) > 1 and all(len(call.request.body) <= 100_000 for call in calls)
    homes = [{item["customer_id"] for item in elements(call)} for call in calls]
    assert not set.intersection(*homes[:2]), "a customer is never in two calls"
    (one,) = moengage.pack_events(account(), [event(f"d{n:02}", "c" * 300, text) for n in range(20)], {}, NOW).calls
    assert 118_000 < len(one.request.body) <= 128_000 and one.delivery_ids == [f"d{n:02}" for n in range(13)]


@pytest.mark.parametrize("phone", ["9876543210", "+44+441234", "abc"])
def test_a_phone_without_country_code_is_left_out_of_the_profile(phone):
    (call,) = moengage.pack_contacts(account(), [Profile("c-1", PERSON | {"phone": phone})], NOW).calls
    assert "u_mb" not in elements(call)[0]["attributes"]


def test_another_common_property_sends_the_customer_id_along():
    target = Account({"server_prefix": "03"}, {}, "email")
    (call,) = moengage.pack_contacts(target, [Profile("c-1", PERSON)], NOW).calls
    assert elements(call)[0]["customer_id"] == "asha@example.com"
    assert elements(call)[0]["attributes"]["nector_customer_id"] == "c-1"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("WalletRewardCreate", "WalletRewardCreate"),
        (" wallet_2 ", "wallet_2"),
        ("Wallet Coins Rewarded", "wallet_coins_rewarded"),
        ("Coupon -- Created", "coupon_created"),
        ("10% Off", "10_off"),
    ],
)
def test_names_leave_as_typed_or_in_lower_case_with_underscores(typed, name):
    assert moengage.event_name(typed) == name
    assert moengage.event_name(name) == name


@pytest.mark.parametrize("name", ["", "  ", "!!!", "₹", "x" * 201, "moe_event", "MoEngage Event", "moe"])
def test_reserved_and_impossible_names_are_refused(name):
    with pytest.raises(InvalidName):
        moengage.event_name(name)


def test_default_names_are_in_capitals():
    names = [moengage.default_event_name(key) for key in ("walletreward_create", "coinexpirynotify_create", "new_thing")]
    assert names == ["WalletRewardCreate", "CoinExpiryNotifyCreate", "NewThing"]


def test_a_base_url_replaces_the_host_and_keeps_its_path():
    target = Account({"workspace_id": WORKSPACE, "server_prefix": "3"}, {}, base_url="http://127.0.0.1:9/moengage")
    (call,) = moengage.pack_events(target, [event()], {}, NOW).calls
    assert call.request.url == f"http://127.0.0.1:9/moengage/v1/event/{WORKSPACE}"


def test_a_workspace_id_cannot_leave_its_place_in_the_address():
    (call,) = moengage.pack_events(account(workspace_id="a/../b?x=1"), [event()], {}, NOW).calls
    assert call.request.url.endswith("/v1/event/a%2F..%2Fb%3Fx%3D1")


def test_our_own_addresses_are_among_the_hundred_wherever_they_stand():
    own = {"nector_click_url": "https://n.example/c", "nector_open_url": "https://n.example/o.gif"}
    data = action({f"p{i}": i for i in range(150)} | own)["attributes"]
    assert len(data) == 100 and own.items() <= data.items()


def test_what_has_no_name_or_nothing_in_it_is_left_out():
    data = action({"": 1, "  ": 2, "nothing": [float("nan")], "empty": [], "coins": 5})["attributes"]
    assert data == {"nector_delivery_id": "d1", "coins": 5}


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "com.example.loyalty"])
def test_an_address_over_512_characters_is_dropped_whole_and_a_text_that_holds_one_is_cut(scheme):
    data = action({"url": f" {scheme}://x/" + "y" * 520, "text": "see https://x/" + "y" * 520})["attributes"]
    assert "url" not in data and len(data["text"]) == 512


def test_a_broken_character_stops_nobody():
    (call,) = moengage.pack_events(account(), [event(properties={"title": "half \ud800"})], {}, NOW).calls
    assert b"half ?" in call.request.body


@pytest.mark.parametrize("status", [402, 404, 405, 406, 410, 415, 422, 451])
def test_a_refusal_that_will_not_pass_fails_at_once(status):
    assert read(call_of("a"), "<html>", status).verdict.outcome is Outcome.PERMANENT


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("kind", ["Authentication required", "Account Suspended", "Blacklisted"])
def test_an_error_about_the_account_is_the_integrations_whatever_the_status(kind, status):
    reading = read(call_of("a", "b", profiles=1), refusal("No.", kind), status)
    assert reading.verdict.outcome is Outcome.CONFIGURATION and not reading.split and not reading.contacts


def test_an_error_about_the_content_fails_below_200_as_well():
    reading = read(call_of("a"), refusal("actions can not be empty Array", "MissingAttributeError", attribute="actions"))
    assert reading.verdict.outcome is Outcome.PERMANENT


def test_a_time_that_moengage_names_is_kept_and_a_guess_may_grow():
    assert read(call_of("a"), "", 429, {"x-ratelimit-reset": "900"}).is_hold_named
    assert not read(call_of("a"), "", 429, {}).is_hold_named


def test_a_data_centre_that_does_not_exist_has_no_address():
    refused = moengage.refuse_settings(account(server_prefix="07"))
    assert refused and not refused.ok and "07" in refused.reason and refused.fix
    assert moengage.refuse_settings(account()) is None
