"""Loyalty attributes in a profile: as each provider keeps them, taken by its sandbox, and pushed only when a value changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from integrations.providers import get_provider
from integrations.providers.attributes import attributes_of
from integrations.providers.base import Account, Event, Profile
from nectorbridge.sandbox import clevertap_profiles, contlo_rules, moengage_rules

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5.5))
PERSON = {"customer_id": "c-1", "name": "Asha Rao", "email": "asha@example.com", "phone": "+919876543210"}
KNOWN = {
    "nector_coins": 0,
    "nector_coins_as_of": NOW,
    "nector_tier": "Gold",
    "nector_tier_as_of": None,
    "nector_referral_code": "ASHA7",
    "nector_referral_link": "https://shop.example?ref=ASHA7",
    "nector_next_expiry_coins": 40,
    "nector_next_expiry_at": datetime(2026, 11, 30, 5, 30, tzinfo=INDIA),
    "nector_next_expiry_as_of": "2026-11-22T17:30:00+05:30",
}
PLAIN = {
    "nector_coins": 0,
    "nector_tier": "Gold",
    "nector_referral_code": "ASHA7",
    "nector_referral_link": "https://shop.example?ref=ASHA7",
    "nector_next_expiry_coins": 40,
}
ACCOUNTS = {
    "clevertap": Account({"account_id": "A", "server_prefix": "in1"}, {"private_api_key": "P"}),
    "moengage": Account({"workspace_id": "TESTWORKSPACE000000000001", "server_prefix": "03"}, {"data_api_key": "K"}),
    "contlo": Account({}, {"private_api_key": "K"}, "email"),
}
PROFILE = Profile("c-1", PERSON, attributes=KNOWN)
each = pytest.mark.parametrize("slug", ACCOUNTS)


def push(slug: str, profile: Profile = PROFILE):
    return get_provider(slug).pack_contacts(ACCOUNTS[slug], [profile], NOW).calls


def sent(slug: str, profile: Profile = PROFILE) -> dict:
    """Return the attributes of the one profile that leaves, after the sandbox took it."""
    (call,) = push(slug, profile)
    body = json.loads(call.request.body)
    if slug == "clevertap":
        data = body["d"][0]["profileData"]
        assert clevertap_profiles.profile_data(data) is None
    elif slug == "moengage":
        data = body["elements"][0]["attributes"]
        assert moengage_rules.judge(body["elements"][0], frozenset()) == ""
    else:
        data = body["custom_properties"]
        assert contlo_rules.contact(body) == ""
    return {key: value for key, value in data.items() if key.startswith("nector_") and key != "nector_customer_id"}


SPELLED = {
    "clevertap": ("$D_1795348800", "$D_1795996800"),
    "moengage": ("2026-11-22T12:00:00Z", "2026-11-30T00:00:00Z"),
    "contlo": ("2026-11-22T12:00:00Z", "2026-11-30T00:00:00Z"),
}


@each
def test_times_are_spelled_as_the_provider_reads_them_and_nothing_is_null(slug):
    now, then = SPELLED[slug]
    times = {"nector_coins_as_of": now, "nector_next_expiry_at": then, "nector_next_expiry_as_of": now}
    assert sent(slug) == PLAIN | times


@each
def test_seen_again_later_is_no_news_but_another_value_is(slug):
    (call,) = push(slug)
    pushed = replace(PROFILE, pushed_hash=call.records[0].profile_hash)
    later = {key: NOW + timedelta(days=1) for key in KNOWN if key.endswith("_as_of")}
    assert push(slug, replace(pushed, attributes=KNOWN | later)) == ()
    for change in ({"nector_coins": 1}, {"nector_tier": None}, {"nector_next_expiry_at": NOW}):
        assert push(slug, replace(pushed, attributes=KNOWN | change))


# What each module made of this person before profiles had attributes: what was pushed then is not pushed anew.
HASHES = {
    "clevertap": "934cb616ead2ed6901326d8b",
    "moengage": "ad13ad8ca224047c1f50d6f3",
    "contlo": "32e5afb3fe99f8fe002ad24d",
}


@each
def test_a_profile_without_attributes_has_the_hash_that_it_always_had(slug):
    (call,) = push(slug, Profile("c-1", PERSON))
    assert call.records[0].profile_hash == HASHES[slug]


@each
def test_a_refused_attribute_stays_behind(slug):
    assert "nector_tier" not in sent(slug, replace(PROFILE, refused=["nector_tier"]))


@each
def test_the_attributes_travel_with_an_event(slug):
    event = Event("d", "E", "c-1", PERSON, {}, NOW)
    calls = get_provider(slug).pack_events(ACCOUNTS[slug], [event], {"c-1": PROFILE}, NOW).calls
    (call,) = calls
    assert b'"nector_coins":0' in call.request.body and b'"nector_next_expiry_coins":40' in call.request.body
    assert [bool(record.profile_hash) for record in call.records] == [True, False]


@pytest.mark.parametrize("slug", ["clevertap", "moengage"])
def test_an_address_that_a_cut_would_break_is_left_out_and_other_texts_are_cut(slug):
    long = {"nector_referral_link": "https://shop.example/" + "x" * 600, "nector_tier": "t" * 600}
    assert sent(slug, Profile("c-1", PERSON, attributes=long)) == {"nector_tier": "t" * 512}


@each
def test_the_persons_own_fields_win_over_attributes_of_a_host(slug):
    names = {"Email": "x", "u_em": "x", "nector_customer_id": "x"}
    target = replace(ACCOUNTS[slug], common_property="email")
    call = get_provider(slug).pack_contacts(target, [Profile("c-1", PERSON, attributes=names)], NOW).calls[0]
    body = json.loads(call.request.body)
    own = {"clevertap": ["d", 0, "profileData"], "moengage": ["elements", 0, "attributes"], "contlo": ["custom_properties"]}
    for step in own[slug]:
        body = body[step]
    assert body["nector_customer_id"] == "c-1"
    assert body.get({"clevertap": "Email", "moengage": "u_em"}.get(slug, ""), "asha@example.com") == "asha@example.com"


def test_moengage_gets_no_name_that_it_blocks():
    (call,) = push("moengage", Profile("c-1", PERSON, attributes={"status": "vip", "USER_ATTRIBUTE_X": 1, "moe_x": 2}))
    data = json.loads(call.request.body)["elements"][0]["attributes"]
    assert {"nector_status", "nector_USER_ATTRIBUTE_X", "nector_moe_x"} <= data.keys()


def test_values_keep_their_types():
    values = {"a": 0, "b": False, "c": "0", "d": 1.5, "e": None, "f": "", "g": float("nan"), "h_at": "soon", "x": NOW}
    found = attributes_of(Profile("c", {}, attributes=values), lambda moment: f"T{moment:%H}")
    assert found == {"a": 0, "b": False, "c": "0", "d": 1.5, "h_at": "soon", "x": "T12"}
    assert found["a"] is not False and found["b"] is False


@pytest.mark.parametrize("wrong", [1795348800, "2026-11-22T17:30:00+05:30", "soon"])
def test_the_sandboxes_refuse_a_time_that_could_not_be_compared(wrong):
    data = {"nector_coins_as_of": wrong}
    assert clevertap_profiles.profile_data(data) or isinstance(wrong, int)
    assert moengage_rules.judge({"type": "customer", "customer_id": "c-1", "attributes": data}, frozenset())
    assert contlo_rules.contact({"email": "a@b.co", "custom_properties": data})
