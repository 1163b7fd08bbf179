"""Mailmodo's module: what is special about its requests. Its contract cases are run by `test_conformance`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from integrations.providers import get_provider
from integrations.providers.base import LOYALTY_ATTRIBUTES, Account, Call, Event, InvalidName, Profile, Record

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PERSON = {"customer_id": "6937201", "email": "asha@example.com", "phone": "+919812345678", "name": "Asha Rao"}
KEY = {"api_key": "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD"}
ACCOUNT = Account({"list_name": "Nector customers"}, KEY, "email")
HOST = "https://api.mailmodo.com/api/v1"
mailmodo = get_provider("mailmodo")


def item(delivery="d", ref="c", person=None, name="E", properties=None, when=NOW) -> Event:
    return Event(delivery, name, ref, person or PERSON, properties or {}, when)


def packed(*events: Event, target=ACCOUNT) -> list[Call]:
    return list(mailmodo.pack_events(target, events, {}, NOW).calls)


def pushed(*profiles: Profile, bulk=False, target=ACCOUNT) -> list[Call]:
    return list(mailmodo.pack_contacts(target, profiles, NOW, bulk=bulk).calls)


def profile(ref="c", email="asha@example.com", pushed_hash="", attributes=None, refused=(), **person) -> Profile:
    return Profile(ref, {"email": email, **person}, pushed_hash, refused, attributes=attributes or {})


def body(call: Call) -> dict:
    return json.loads(call.request.body)


def test_a_batch_without_data_has_none():
    (call,) = pushed(profile(), bulk=True)
    assert body(call)["values"] == [{"email": "asha@example.com"}]


@pytest.mark.parametrize("email", [None, "", "  ", "asha", "asha@", "asha@example", "a b@example.com", f"{'a' * 250}@x.io"])
def test_a_customer_without_a_usable_email_is_skipped_without_a_call(email):
    packing = mailmodo.pack_events(ACCOUNT, [item(person={**PERSON, "email": email})], {}, NOW)
    assert not packing.calls and "email" in packing.skipped["d"]
    assert pushed(profile(email=email)) == [] and pushed(profile(email=email), bulk=True) == []


def test_the_email_alone_names_the_customer_whatever_the_common_property_says():
    assert mailmodo.identity(PERSON, "customer_id") == "asha@example.com"
    assert mailmodo.identity({"customer_id": "c", "phone": "+919812345678"}, "phone") is None


def test_event_and_contact_meet_whatever_the_capitals():
    person = {**PERSON, "email": " Asha@Example.COM "}
    (event,), (contact,) = packed(item(person=person)), pushed(Profile("c", person))
    (batch,) = pushed(Profile("c", person), bulk=True)
    emails = {body(event)["email"], body(contact)["email"], body(batch)["values"][0]["email"]}
    assert emails == {"asha@example.com"} == {mailmodo.identity(person, "email")}


@pytest.mark.parametrize("name", ["", "   ", "\n"])
def test_an_empty_name_is_refused_and_never_sent(name):
    with pytest.raises(InvalidName):
        mailmodo.event_name(name)
    packing = mailmodo.pack_events(ACCOUNT, [item(name="")], {}, NOW)
    assert not packing.calls and set(packing.skipped) == {"d"}


@pytest.mark.parametrize(
    ("typed", "name"), [("  a b ", "a b"), ("walletreward_create", "walletreward_create"), (" Münzen", "Münzen")]
)
def test_names_leave_trimmed_and_otherwise_as_typed(typed, name):
    assert mailmodo.event_name(typed) == name


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), 1767225600),
        (datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), 1767225600),
        (datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5))), 1767225600),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1),
        (datetime(1970, 1, 1, tzinfo=UTC), None),
        (datetime(1969, 12, 31, tzinfo=UTC), None),
    ],
)
def test_the_time_is_whole_seconds_and_absent_before_they_begin(when, seconds):
    assert body(packed(item(when=when))[0]).get("ts") == seconds


def test_properties_are_flat_and_without_nulls_and_keep_their_types():
    properties = {
        "coins": 120,
        "rate": 0.5,
        "code": "12",
        "yes": True,
        "nothing": None,
        "nan": float("nan"),
        "price": Decimal("12.50"),
        "whole": Decimal("3"),
        "order": {"id": "7", "address": {"city": "Pune"}, "note": None},
        "items": ["a", {"b": 1}],
        "at": datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5))),
        "": 1,
        7: "seven",
    }
    assert body(packed(item(properties=properties))[0]) == {
        "email": "asha@example.com",
        "event_name": "E",
        "ts": 1795305600,
        "event_properties": {
            "nector_delivery_id": "d",
            "coins": 120,
            "rate": 0.5,
            "code": "12",
            "yes": True,
            "price": 12.5,
            "whole": 3,
            "items": '["a",{"b":1}]',
            "at": "2026-01-01T00:00:00Z",
            "7": "seven",
            "order_id": "7",
            "order_address_city": "Pune",
        },
    }


def test_our_own_id_and_addresses_come_first_and_are_not_overwritten():
    properties = {
        "nector": {"delivery_id": "x", "click_url": "https://evil.example", "open_url": 7},
        "nector_delivery_id": "y",
        "order": {"id": 5},
        "order_id": "7",
        "nector_open_url": "https://n.example/o",
        "nector_click_url": "https://n.example/c",
    }
    sent = body(packed(item(properties=properties))[0])["event_properties"]
    assert list(sent.items()) == [
        ("nector_delivery_id", "d"),
        ("nector_click_url", "https://n.example/c"),
        ("nector_open_url", "https://n.example/o"),
        ("order_id", "7"),
    ]


def test_an_event_larger_than_a_call_is_skipped_and_stops_nobody():
    packing = mailmodo.pack_events(ACCOUNT, [item(properties={"note": "x" * 1_000_001}), item("d2", "c2")], {}, NOW)
    assert set(packing.skipped) == {"d"} and [call.delivery_ids for call in packing.calls] == [["d2"]]


def test_only_the_first_event_of_each_customer_is_packed():
    calls = packed(item("d1", "c1"), item("d2", "c2"), item("d3", "c1"), item("d4", "c2"), item("d5", "c3"))
    assert [call.delivery_ids for call in calls] == [["d1"], ["d2"], ["d5"]]


def test_the_first_event_that_can_be_sent_leaves():
    packing = mailmodo.pack_events(ACCOUNT, [item("d1", person={"email": ""}), item("d2")], {}, NOW)
    assert [call.delivery_ids for call in packing.calls] == [["d2"]] and set(packing.skipped) == {"d1"}


def test_an_event_takes_no_profile_along():
    profiles = {"c": Profile("c", PERSON)}
    (call,) = mailmodo.pack_events(ACCOUNT, [item()], profiles, NOW).calls
    assert call.records == (Record(delivery_id="d"),)
    assert set(body(call)) == {"email", "event_name", "ts", "event_properties"}


def test_who_has_just_arrived_is_added_alone_so_that_list_journeys_start():
    (call,) = pushed(Profile("c", PERSON))
    assert call.request.url == f"{HOST}/addToList"
    assert body(call) == {
        "email": "asha@example.com",
        "listName": "Nector customers",
        "data": {"name": "Asha Rao", "phone": "+919812345678", "nector_customer_id": "6937201"},
    }
    assert [record.customer_ref for record in call.records] == ["c"] and call.records[0].profile_hash


def test_who_is_on_the_list_already_goes_with_others_and_starts_none():
    known = [profile("c1", "a@x.io", "old"), profile("c2", "b@x.io", "old"), profile("c3", "new@x.io")]
    single, batch = pushed(*known)
    assert (single.request.url, batch.request.url) == (f"{HOST}/addToList", f"{HOST}/addToList/batch")
    assert body(single)["email"] == "new@x.io"
    assert body(batch) == {"listName": "Nector customers", "values": [{"email": "a@x.io"}, {"email": "b@x.io"}]}


def test_all_customers_go_a_hundred_a_call():
    calls = pushed(*[profile(f"c{n}", f"c{n}@x.io") for n in range(205)], bulk=True)
    assert [len(body(call)["values"]) for call in calls] == [100, 100, 5]
    assert {call.request.url for call in calls} == {f"{HOST}/addToList/batch"}
    assert [record.customer_ref for call in calls for record in call.records] == [f"c{n}" for n in range(205)]


def test_calls_stay_within_the_bytes():
    calls = pushed(*[profile(f"c{n}", f"c{n}@x.io", name="ä" * 20_000) for n in range(60)], bulk=True)
    assert len(calls) == 3 and all(len(call.request.body) <= mailmodo.limits.bytes_per_call for call in calls)
    assert sum(len(call.records) for call in calls) == 60


def test_customers_who_share_an_address_share_a_value_and_each_has_a_record():
    shared = [
        profile("c1", "Asha@x.io", name="Asha", phone="+919812345678"),
        profile("c2", "ben@x.io"),
        profile("c3", "asha@X.io", name="Asha Rao"),
    ]
    (call,) = pushed(*shared, bulk=True)
    assert body(call)["values"] == [
        {"email": "asha@x.io", "data": {"name": "Asha Rao", "phone": "+919812345678"}},
        {"email": "ben@x.io"},
    ]
    assert sorted(record.customer_ref for record in call.records) == ["c1", "c2", "c3"]
    assert len({record.profile_hash for record in call.records}) == 3
    single, _ben = pushed(*shared)
    assert [record.customer_ref for record in single.records] == ["c1", "c3"]


def test_hashes_fit_their_column_and_repeat():
    (first,), (again,) = pushed(Profile("c", PERSON))[0].records, pushed(Profile("c", PERSON), bulk=True)[0].records
    assert first == again and len(first.profile_hash) <= 40


def test_nothing_new_is_not_sent_again():
    (record,) = pushed(Profile("c", PERSON))[0].records
    known = Profile("c", PERSON, record.profile_hash)
    assert pushed(known) == [] and pushed(known, bulk=True) == []


@pytest.mark.parametrize("change", [{"email": "other@x.io"}, {"name": "Asha"}, {"phone": ""}, {"customer_id": "7"}])
def test_every_change_of_the_person_is_news(change):
    (record,) = pushed(Profile("c", PERSON))[0].records
    assert pushed(Profile("c", {**PERSON, **change}, record.profile_hash))


def test_another_list_is_news():
    (record,) = pushed(Profile("c", PERSON))[0].records
    (call,) = pushed(Profile("c", PERSON, record.profile_hash), target=Account({"list_name": "Other"}, KEY, "email"))
    assert body(call)["listName"] == "Other"


def test_a_contact_refused_as_a_whole_is_left_out():
    assert pushed(profile(refused=["*"])) == [] and pushed(profile(refused=["*"]), bulk=True) == []


ATTRIBUTES = {
    "nector_coins": 560,
    "nector_coins_as_of": NOW,
    "nector_tier": "Gold",
    "nector_tier_as_of": NOW,
    "nector_referral_code": "ASHA10",
    "nector_referral_link": "https://x.io/r/ASHA10",
    "nector_referral_as_of": NOW,
    "nector_next_expiry_coins": 120,
    "nector_next_expiry_at": datetime(2026, 11, 30, 5, 30, tzinfo=timezone(timedelta(hours=5.5))),
    "nector_next_expiry_as_of": NOW,
}


def test_what_the_programme_knows_goes_along_typed_and_what_it_does_not_is_absent():
    assert set(ATTRIBUTES) == set(LOYALTY_ATTRIBUTES)
    (call,) = pushed(profile(attributes=ATTRIBUTES))
    assert body(call)["data"] == {
        "nector_coins": 560,
        "nector_coins_as_of": "2026-11-22T00:00:00Z",
        "nector_tier": "Gold",
        "nector_tier_as_of": "2026-11-22T00:00:00Z",
        "nector_referral_code": "ASHA10",
        "nector_referral_link": "https://x.io/r/ASHA10",
        "nector_referral_as_of": "2026-11-22T00:00:00Z",
        "nector_next_expiry_coins": 120,
        "nector_next_expiry_at": "2026-11-30T00:00:00Z",
        "nector_next_expiry_as_of": "2026-11-22T00:00:00Z",
    }
    (call,) = pushed(profile(attributes={"nector_coins": 0, "nector_tier": None, "name": "Mallory"}, name="Asha"))
    assert body(call)["data"] == {"name": "Asha", "nector_coins": 0}


def test_that_an_attribute_was_looked_at_again_is_no_news_but_its_change_is():
    (record,) = pushed(profile(attributes=ATTRIBUTES))[0].records
    later = ATTRIBUTES | {"nector_coins_as_of": NOW + timedelta(days=1)}
    assert pushed(profile(pushed_hash=record.profile_hash, attributes=later)) == []
    assert pushed(profile(pushed_hash=record.profile_hash, attributes=later | {"nector_coins": 561}))


@pytest.mark.parametrize("phone", [None, "", "9812345678", "+44+441234", "+1"])
def test_a_phone_without_country_code_is_absent_never_empty(phone):
    (call,) = pushed(profile(phone=phone))
    assert body(call) == {"email": "asha@example.com", "listName": "Nector customers"}


def test_a_name_in_parts_is_put_together():
    (call,) = pushed(profile(first_name=" Asha ", last_name="Rao"))
    assert body(call)["data"] == {"name": "Asha Rao"}


def test_the_key_is_marked_as_secret_everywhere():
    for call in (*packed(item()), *pushed(Profile("c", PERSON)), *pushed(Profile("c", PERSON), bulk=True)):
        assert call.request.secret_headers == {"mmApiKey"}
        assert call.request.headers == {
            "mmApiKey": KEY["api_key"],
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        assert KEY["api_key"] not in call.request.url + call.request.body.decode() + repr(call.request)


def test_a_base_url_replaces_the_host_and_keeps_its_path():
    target = Account({"list_name": "L"}, KEY, "email", base_url="http://127.0.0.1:9/mailmodo/")
    (contact,), (batch,) = pushed(Profile("c", PERSON), target=target), pushed(Profile("c", PERSON), bulk=True, target=target)
    urls = [packed(item(), target=target)[0].request.url, contact.request.url, batch.request.url]
    urls.append(next(mailmodo.verify_steps(target)).url)
    assert [url.removeprefix("http://127.0.0.1:9/mailmodo/api/v1/") for url in urls] == [
        "addEvent",
        "addToList",
        "addToList/batch",
        "getAllContactLists",
    ]


@pytest.mark.parametrize(
    ("stored", "rate"),
    [
        *[(None, 5.0), ("", 5.0), (5, 5.0), ("10", 10.0), (50, 50.0), ("2.5", 2.5), (100, 50.0)],
        *[(0, 5.0), (-1, 5.0), ("x", 5.0), ("nan", 5.0), ("inf", 5.0), (True, 5.0), (0.0001, 0.1)],
    ],
)
def test_the_rate_is_the_plans(stored, rate):
    assert mailmodo.calls_per_second(Account({"requests_per_second": stored}, KEY, "email")) == rate
    assert mailmodo.calls_per_second(ACCOUNT) == 5.0


@pytest.mark.parametrize(("typed", "kept"), [("5", "5"), (" 10 ", "10"), ("50.0", "50"), ("0.5", "0.5"), ("7", "7")])
def test_a_plans_rate_is_kept_short(typed, kept):
    assert mailmodo.clean("requests_per_second", typed) == kept


@pytest.mark.parametrize("typed", ["0", "-5", "51", "nan", "inf", "Pro", "5 per second", "1e9"])
def test_a_rate_that_no_plan_has_is_refused(typed):
    with pytest.raises(ValueError, match="Lite"):
        mailmodo.clean("requests_per_second", typed)


@pytest.mark.parametrize(
    "typed", ["abc def", "https://manage.mailmodo.com/app", "manage.mailmodo.com/app/settings", "x" * 201, "ключ", "", "a\x00b"]
)
def test_what_is_no_key_is_refused_with_what_to_do(typed):
    with pytest.raises(ValueError, match=r"[Cc]opy the"):
        mailmodo.clean("api_key", typed)


def test_a_key_of_another_shape_is_taken_since_the_shape_is_only_a_hint():
    assert mailmodo.clean("api_key", " Abc-1 ") == "Abc-1"
    assert mailmodo.clean("api_key", f"\n{KEY['api_key']} ") == KEY["api_key"]


@pytest.mark.parametrize(("typed", "kept"), [("  Nector Customers ", "Nector Customers"), ("Münzen & Co", "Münzen & Co")])
def test_a_list_name_is_trimmed_and_otherwise_free(typed, kept):
    assert mailmodo.clean("list_name", typed) == kept


@pytest.mark.parametrize("typed", ["", "   ", "\n", "a\nb", "a\tb", "a\u200bb", "x" * 201])
def test_a_list_name_that_cannot_be_one_is_refused(typed):
    with pytest.raises(ValueError, match=r"[Nn]ame"):
        mailmodo.clean("list_name", typed)
