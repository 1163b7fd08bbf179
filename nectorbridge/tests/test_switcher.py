"""Staff of several merchants choose the one to work in; lists, home and statistics keep to it, and addresses still work."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from events.tests.conftest import deliver
from integrations.models import Membership, Merchant
from nectorbridge.testing import make

SWITCH = reverse("admin:integrations_merchant_switch")
DELIVERIES = reverse("admin:events_eventdelivery_changelist")
EVENTS = reverse("admin:events_eventdefinition_changelist")


def shop(slug: str) -> Any:
    """Return an event of a merchant of its own, with a delivery."""
    definition = make.definition(make.integration(make.merchant(slug)), name=f"{slug}-event")
    deliver(definition, event_name=f"{slug}-delivery", status="failed", recipient={**make.PERSON, "name": f"{slug}-person"})
    return definition


@pytest.fixture
def first(db) -> Any:
    return shop("amber")


@pytest.fixture
def second(db) -> Any:
    return shop("birch")


def merchant_of(definition: Any) -> Merchant:
    return definition.integration.merchant


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def member(first, second) -> Client:
    """An owner of one and a viewer of the other."""
    user = User.objects.create_user("asha", is_staff=True)
    Membership.objects.create(merchant=merchant_of(first), user=user)
    Membership.objects.create(merchant=merchant_of(second), user=user, role="viewer")
    return browser(user)


@pytest.fixture
def administrator(first, second) -> Client:
    return browser(User.objects.create_superuser("root"))


def switch(client: Client, to: Any, back: str = "") -> Any:
    return client.post(SWITCH, {"to": getattr(to, "pk", to), "back": back})


def text(client: Client, url: str) -> str:
    return client.get(url).content.decode()


@pytest.mark.parametrize("who", ["member", "administrator"])
def test_lists_home_and_exports_keep_to_the_chosen_merchant(request, who, first, second):
    client = request.getfixturevalue(who)
    export = reverse("admin:events_eventdelivery_export")

    assert switch(client, merchant_of(first), EVENTS).url == EVENTS

    for url in (DELIVERIES, EVENTS, f"{DELIVERIES}?status__exact=failed", f"{DELIVERIES}?q=c1"):
        page = text(client, url)
        assert "amber-" in page, url
        assert "birch-" not in page, url
    assert "birch" not in b"".join(client.get(export).streaming_content).decode()
    home = client.get(reverse("admin:index")).context
    assert [card.integration.merchant.slug for card in home["integrations"]] == ["amber"]
    assert home["tiles"][3].text == "1"


@pytest.mark.parametrize("who", ["member", "administrator"])
def test_all_merchants_are_one_choice_and_the_first(request, who, first):
    client = request.getfixturevalue(who)
    assert {word in text(client, EVENTS) for word in ("amber-event", "birch-event")} == {True}

    switch(client, merchant_of(first))
    switch(client, "")

    assert {word in text(client, EVENTS) for word in ("amber-event", "birch-event")} == {True}
    assert client.get(reverse("admin:index")).context["tiles"][3].text == "2"


def test_it_is_remembered_and_shown(member, first, second):
    switch(member, merchant_of(second))

    for _visit in range(2):
        page = text(member, EVENTS)
        assert f'<option value="{merchant_of(second).pk}" selected>Birch</option>' in page
        assert f'<option value="{merchant_of(first).pk}">Amber</option>' in page
        assert "amber-event" not in page


def test_the_role_is_that_of_the_chosen_merchant(member, first, second):
    add, audit = reverse("admin:events_eventdefinition_add"), reverse("admin:integrations_auditentry_changelist")
    switch(member, merchant_of(second))  # a viewer there
    assert (member.get(add).status_code, member.get(audit).status_code) == (403, 403)

    switch(member, merchant_of(first))
    assert (member.get(add).status_code, member.get(audit).status_code) == (200, 200)


@pytest.mark.parametrize("who", ["member", "administrator"])
def test_what_is_asked_for_by_its_key_is_shown_whatever_is_chosen(request, who, first, second):
    client = request.getfixturevalue(who)
    switch(client, merchant_of(first))

    delivery = second.deliveries.get()
    assert "birch-delivery" in text(client, reverse("admin:events_eventdelivery_change", args=[delivery.pk]))
    assert "birch-event" in text(client, f"{EVENTS}?integration__id__exact={second.integration_id}")
    assert "Birch" in text(client, reverse("admin:integrations_integration_changelist") + f"?merchant={merchant_of(second).pk}")


def test_what_is_acted_on_is_within_the_chosen_merchant(administrator, first, second):
    switch(administrator, merchant_of(first))
    keys = [first.deliveries.get().pk, second.deliveries.get().pk]

    administrator.post(DELIVERIES, {"action": "retry_selected", "confirmed": "1", "_selected_action": keys})

    assert (first.deliveries.get().status, second.deliveries.get().status) == ("queued", "failed")


@pytest.mark.parametrize("wanted", ["999999", "abc", "1_0", "-1"])
def test_what_is_no_merchant_of_theirs_cannot_be_chosen(member, wanted):
    assert switch(member, wanted).status_code == 404
    assert "birch-event" in text(member, EVENTS)


def test_another_merchant_cannot_be_chosen_and_a_former_one_is_forgotten(member, first):
    assert switch(member, make.merchant("cedar")).status_code == 404

    switch(member, merchant_of(first))
    Membership.objects.filter(merchant=merchant_of(first)).delete()

    assert "birch-event" in text(member, EVENTS)
    assert "amber-event" not in text(member, EVENTS)


def test_it_does_not_lead_away_and_a_get_changes_nothing(member, first):
    for back in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", ""):
        assert switch(member, "", back).url == reverse("admin:index")
    member.get(f"{SWITCH}?to={merchant_of(first).pk}")
    assert "birch-event" in text(member, EVENTS)


def test_who_has_one_merchant_or_none_has_nothing_to_choose(first, second):
    for name, merchants in (("one", [merchant_of(first)]), ("none", [])):
        user = User.objects.create_user(name, is_staff=True)
        for merchant in merchants:
            Membership.objects.create(merchant=merchant, user=user)
        assert "nb-switcher" not in text(browser(user), reverse("admin:index"))
    assert "nb-switcher" not in text(Client(), reverse("admin:login"))
