"""What providers send back, in every documented shape, and in none."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.providers import all_providers, get_provider
from integrations.providers.callbacks import KINDS, CallbackItem, Unreadable, kind_of, moment, read_body

KEY = "01a22601-7f1b-7000-8cb6-34d358457dc3"
AT = datetime(2020, 2, 6, 1, 24, 34, tzinfo=UTC)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from(
    [
        "events",
        "event_code",
        "event_uuid",
        "event_time",
        "event_attributes",
        "user_attributes",
        "uid",
        "email_id",
        "profiles",
        "Profiles",
        "Event_properties",
        "payload",
        "kvs",
        "key_values",
        "all_identities",
        "is_test",
        "triggerData",
        "eventProperty",
        "eventData",
        "recipientEmail",
        "recipientData",
        "recordedAt",
        "ts",
        "nector_delivery_id",
        "event",
        "occurred_at",
        "apple_privacy_open",
    ]
)
SHAPED = st.recursive(
    ANYTHING, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=20
)


def parse(slug, body, kind=""):
    return list(get_provider(slug).parse_callback(kind, body))


def streams(code, **values):
    event = {"event_name": "x", "event_code": code, "event_uuid": f"u-{code}", "event_time": 1580952274, "uid": "C-1", **values}
    return {"app_name": "A", "source": "MOENGAGE", "moe_request_id": "r", "events": [event]}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("MOE_EMAIL_OPEN", "open"),
        ("MOE_EMAIL_CLICK", "click"),
        ("MOE_EMAIL_DELIVERED", "delivered"),
        ("MOE_EMAIL_SENT", ""),
        ("MOE_EMAIL_HARD_BOUNCE", "bounce"),
        ("MOE_EMAIL_SOFT_BOUNCE", "bounce"),
        ("MOE_EMAIL_UNSUBSCRIBE", "unsubscribe"),
        ("MOE_EMAIL_SPAM", "complaint"),
        ("MOE_WHATSAPP_READ", "open"),
        ("MOE_WHATSAPP_CLICKED", "click"),
        ("MOE_SMS_CLICKED", "click"),
        ("NOTIFICATION_CLICKED_IOS_MOE", "click"),
        ("NOTIFICATION_RECEIVED_MOE", "delivered"),
        ("NOTIFICATION_CLEARED_MOE", ""),
        ("MOE_CARD_VIEWED", "open"),
        ("MOE_CARD_CLICKED", "click"),
        ("MOE_CARD_IMPRESSION", "delivered"),
        ("WEBHOOK_SENT", ""),
        ("MOE_SMS_DELIVERY_FAILED", ""),
        ("MOE_CAMPAIGN_CONTROL_GROUP", ""),
        ("SOMETHING_NEW", "unknown"),
    ],
)
def test_moengage_streams(code, kind):
    attributes = {"campaign_id": "c", "campaign_name": "Coins", "campaign_channel": "EMAIL"}
    (item,) = parse(
        "moengage", streams(code, email_id="Asha@Example.com", mobile_number="+919876543210", event_attributes=attributes)
    )
    people = ("C-1", "Asha@Example.com", "+919876543210")
    channel = next((name for name in ("sms", "whatsapp") if name in code.lower()), "email")
    assert item == CallbackItem(kind, code, "", f"u-{code}", AT, people, "Coins", channel=channel)


def test_moengage_sends_our_own_event_back_as_proof_and_not_as_an_open():
    (item,) = parse("moengage", streams("WalletRewardCreate", event_attributes={"nector_delivery_id": KEY}))
    assert (item.kind, item.delivery_id) == ("", KEY)


CLEVERTAP_SMALL = {
    "identity": "C-1",
    "email": "a@b.example",
    "phone": "+919876543210",
    "all_identities": ["C-1", "x@y.example"],
    "objectId": "o",
    "profileData": {},
    "event_properties": {"Campaign id": 7, "nector_delivery_id": KEY},
}
CLEVERTAP_LARGE = {
    "Identity": "C-1",
    "Email": "a@b.example",
    "ObjectId": "o",
    "ProfileData": {},
    "Push_token": "t",
    "Event_properties": {"Campaign id": 7, "nector_delivery_id": KEY},
}


@pytest.mark.parametrize("profile", [CLEVERTAP_SMALL, CLEVERTAP_LARGE])
@pytest.mark.parametrize("as_list", [True, False])
def test_clevertap_in_both_casings_as_object_and_array(profile, as_list):
    (item,) = parse("clevertap", {"targetId": 1, "profiles": [profile] if as_list else profile}, "click")
    assert (item.kind, item.delivery_id, item.campaign) == ("click", KEY, "7")
    assert item.people[:2] == ("C-1", "a@b.example")


def test_clevertap_knows_a_customer_by_any_identity():
    (item,) = parse("clevertap", {"profiles": {"all_identities": ["Z-9", "z@y.example"]}}, "open")
    assert item.people == ("Z-9", "z@y.example")


@pytest.mark.parametrize(
    ("word", "why", "kind"),
    [
        ("Notification Viewed", "", "open"),
        ("Notification Clicked", "", "click"),
        ("Notification Delivered", "", "delivered"),
        ("Push Impressions", "", "delivered"),
        ("Channel Unsubscribed", "", "unsubscribe"),
        ("Channel Unsubscribed", "spam", "complaint"),
        ("Channel Unsubscribed", "Bounced", "bounce"),
        ("Channel Unsubscribed", "dropped", ""),
        ("Notification Sent", "", ""),
        ("Notification Replied", "", ""),
        ("Solar Eclipse", "", "unknown"),
    ],
)
def test_clevertap_by_its_words(word, why, kind):
    (item,) = parse("clevertap", {"event": word, "profiles": [{"Identity": "C-1", "Event_properties": {"Type": why}}]})
    assert item.kind == kind


def test_clevertaps_test_and_its_push_with_our_key_and_the_custom_body():
    ping = {"is_test": True, "targetId": 1234, "key_values": {"key": "value"}, "profiles": [{"Identity": "UserId"}] * 5}
    assert [item.word for item in parse("clevertap", ping)] == ["is_test"]
    push = {"targetId": 1, "profiles": [{"identity": "C-1", "payload": {"title": "t", "kvs": {"nector_delivery_id": KEY}}}]}
    assert parse("clevertap", push, "delivered")[0].delivery_id == KEY
    (own,) = parse("clevertap", {"nector_delivery_id": KEY, "email": "a@b.example", "event": "click"})
    assert (own.kind, own.delivery_id, own.people) == ("click", KEY, ("a@b.example",))


def test_mailmodos_card_with_values_as_text():
    trigger = {
        "email": "Asha@Example.com",
        "userId": "u",
        "journeyId": "j",
        "eventProperty": {"coins": "829", "nector_delivery_id": KEY},
    }
    body = {"triggerData": trigger, "eventData": {"type": "html"}, "lastCampaignId": "c-1"}
    (item,) = parse("mailmodo", body, "open")
    assert (item.kind, item.delivery_id, item.people[0], item.campaign) == ("open", KEY, "Asha@Example.com", "c-1")
    assert parse("mailmodo", body)[0].kind == "unknown"  # the card does not say which it is
    assert parse("mailmodo", body | {"apple_privacy_open": "true"}, "open")[0].is_machine


def test_mailmodos_form():
    body = {
        "recipientEmail": "a@b.example",
        "recipientData": {"email": "a@b.example"},
        "recordedAt": {"ts": 1580952274, "hour": 6},
        "formId": "f",
        "responseId": "r-1",
        "campaignId": "c",
        "campaignName": "Coins",
        "submissionSource": "amp",
    }
    (item,) = parse("mailmodo", body, "click")
    assert (item.kind, item.once, item.occurred_at, item.people) == ("click", "r-1", AT, ("a@b.example",))


@pytest.mark.parametrize("slug", [provider.slug for provider in all_providers()])
def test_the_generic_form_is_understood_by_every_provider(slug):
    one = {
        "nector_delivery_id": KEY,
        "event": "Email Opened",
        "id": "e-1",
        "email": "A@b.example",
        "occurred_at": "2020-02-06T01:24:34Z",
    }
    expected = CallbackItem("open", "Email Opened", KEY, "e-1", AT, ("A@b.example",))
    assert parse(slug, one) == [expected] == parse(slug, [one])
    assert parse(slug, {"nector_delivery_id": KEY}, "unsubscribe")[0].kind == "unsubscribe"


@pytest.mark.parametrize("slug", ["wigzo", "contlo"])
def test_generic_lists_and_forms(slug):
    found = parse(slug, {"events": [{"event": "clicked"}, "no object", None, {"event": "bounced"}]})
    assert [item.kind for item in found] == ["click", "bounce"]
    body = read_body(
        b"event=Email+Complained&email=a%40b.example&is_machine=true", "application/x-www-form-urlencoded; charset=utf-8"
    )
    (item,) = parse(slug, body)
    assert (item.kind, item.people, item.is_machine) == ("complaint", ("a@b.example",), True)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (1580952274, AT),
        ("1580952274", AT),
        (1580952274000, AT),
        ("2020-02-06T06:54:34+05:30", AT),
        ("2020-02-06 01:24:34", AT),
        (-1, None),
        (True, None),
        ({}, None),
        ("soon", None),
        (1e300, None),
        ("nan", None),
        (float("inf"), None),
        ("9999-12-31T23:59:59-14:00", None),
    ],
)
def test_times(said, at):
    assert moment(said) == at


@pytest.mark.parametrize("raw", [b"", b"null", b"1", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_body_says_so(raw):
    with pytest.raises(Unreadable):
        read_body(raw)


def test_a_form_with_too_many_fields_says_so():
    with pytest.raises(Unreadable):
        read_body(b"&".join(b"a=1" for _number in range(1000)), "application/x-www-form-urlencoded")


@settings(max_examples=150, deadline=None)
@given(body=SHAPED.filter(lambda value: isinstance(value, (dict, list))), kind=st.sampled_from(["", *KINDS]))
def test_whatever_is_sent_nothing_is_raised_and_texts_are_clean(body, kind):
    for provider in all_providers():
        for item in provider.parse_callback(kind, body):
            assert item.kind in (*KINDS, "unknown", "")
            said = "".join([item.word, item.delivery_id, item.once, item.campaign, *item.people])
            assert "\x00" not in said and said.encode() is not None
            assert item.occurred_at is None or item.occurred_at.tzinfo


@settings(max_examples=100, deadline=None)
@given(raw=st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused(raw):
    try:
        found = read_body(raw)
    except Unreadable:
        return
    assert isinstance(found, (dict, list))


def test_kinds_in_addresses():
    assert [kind_of(word) for word in ("open", "opened", "clicks", "unsubscribed", "spam", "delivered")] == [
        "open",
        "open",
        "click",
        "unsubscribe",
        "complaint",
        "delivered",
    ]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Review Submitted", "unknown"),
        ("Already Purchased", "unknown"),
        ("Preview Requested", "unknown"),
        ("EmailOpened", "open"),
        ("emailopened", "open"),
        ("link_clicked", "click"),
        ("SMS Unsubscribed", "unsubscribe"),
        ("opt-out", "unsubscribe"),
        ("WhatsApp Read", "open"),
        ("Email Complained", "complaint"),
    ],
)
def test_words_are_not_found_within_others(word, kind):
    assert kind_of(word) == kind


@pytest.mark.parametrize(
    ("campaign_type", "is_foreign"), [("ONE_TIME", True), ("Periodic", True), ("EVENT_TRIGGERED", False), ("", False)]
)
def test_a_campaign_that_no_event_starts_is_none_of_ours(campaign_type, is_foreign):
    (item,) = parse("moengage", streams("MOE_EMAIL_OPEN", event_attributes={"campaign_type": campaign_type}))
    assert item.is_foreign == is_foreign
