"""The catalogue: what is offered to whom, how it is found, and what Configure makes."""

from __future__ import annotations

import pytest
from django.urls import reverse

from integrations.models import Integration, Merchant, Status
from integrations.tests.conftest import member
from integrations.verification import set_status

CATALOGUE = reverse("admin:integrations_integration_changelist")
CONFIGURE = reverse("admin:integrations_integration_configure")


def text(response) -> str:
    return response.content.decode()


def test_a_provider_without_integration_offers_configure(staff, merchant):
    page = text(staff.get(CATALOGUE))

    assert "Email &amp; WhatsApp Marketing" in page
    assert "Start CleverTap journeys" in page
    assert "Not connected" in page
    assert "Configure CleverTap" in page
    assert "Open CleverTap" not in page


@pytest.mark.parametrize(
    ("status", "word"),
    [(Status.ACTIVE, "Active"), (Status.ATTENTION, "Needs attention"), (Status.PAUSED, "Paused")],
)
def test_a_card_says_the_state_and_opens(staff, integration, status, word):
    set_status(integration, status)

    page = text(staff.get(CATALOGUE))

    assert word in page
    assert "Open CleverTap" in page
    assert reverse("admin:integrations_integration_change", args=[integration.pk]) in page


def test_a_draft_is_still_to_be_configured(staff, integration):
    assert "Configure CleverTap" in text(staff.get(CATALOGUE))


@pytest.mark.parametrize("query", ["clever", "CLEVERTAP", "journeys coupon"])
def test_search_finds_by_name_and_purpose(staff, query):
    assert "Configure CleverTap" in text(staff.get(CATALOGUE, {"q": query}))


@pytest.mark.parametrize("query", ["email marketing", "Email & WhatsApp Marketing", "marketing"])
def test_the_words_of_a_category_find_what_belongs_to_it(staff, query):
    page = text(staff.get(CATALOGUE, {"q": query}))

    found = {label for label in ("CleverTap", "Contlo", "Mailmodo", "MoEngage", "Wigzo") if f"Configure {label}" in page}
    assert found == {"CleverTap", "Contlo", "Mailmodo", "MoEngage", "Wigzo"}


def test_the_merchants_word_for_coins_finds_as_well(staff, merchant):
    Merchant.objects.filter(pk=merchant.pk).update(coin_name="petals")

    assert "Configure CleverTap" in text(staff.get(CATALOGUE, {"q": "petals"}))


def test_search_without_result_says_so_kindly_and_escapes(staff):
    page = text(staff.get(CATALOGUE, {"q": "<b>carrier pigeon"}))

    assert "Configure CleverTap" not in page
    assert "Nothing matches “&lt;b&gt;carrier pigeon”" in page
    assert "Show all integrations" in page


def test_configure_makes_one_draft_and_opens_it(staff, merchant):
    answers = [staff.post(CONFIGURE, {"merchant": merchant.pk, "provider": "clevertap"}) for _click in range(2)]

    draft = Integration.objects.get()
    assert (draft.merchant, draft.provider, draft.status) == (merchant, "clevertap", Status.DRAFT)
    assert {answer.url for answer in answers} == {reverse("admin:integrations_integration_change", args=[draft.pk])}


@pytest.mark.parametrize("provider", ["", "nobody", "../clevertap"])
def test_configure_refuses_unknown_providers(staff, merchant, provider):
    assert staff.post(CONFIGURE, {"merchant": merchant.pk, "provider": provider}).status_code == 404
    assert not Integration.objects.exists()


@pytest.mark.parametrize("wanted", ["", "abc", "-1", "9" * 30, "²"])
def test_configure_refuses_what_is_no_merchant(staff, wanted):
    assert staff.post(CONFIGURE, {"merchant": wanted, "provider": "clevertap"}).status_code == 404


def test_configure_for_another_merchant_is_refused(stranger, merchant):
    assert stranger.post(CONFIGURE, {"merchant": merchant.pk, "provider": "clevertap"}).status_code == 404
    assert not Integration.objects.exists()


def test_a_viewer_cannot_configure(viewer, merchant):
    assert "Configure CleverTap" not in text(viewer.get(CATALOGUE))
    assert viewer.post(CONFIGURE, {"merchant": merchant.pk, "provider": "clevertap"}).status_code == 403
    assert not Integration.objects.exists()


def test_a_get_to_configure_changes_nothing(staff, merchant):
    answer = staff.get(CONFIGURE, {"merchant": merchant.pk, "provider": "clevertap"})

    assert (answer.status_code, answer.url) == (302, CATALOGUE)
    assert not Integration.objects.exists()


def test_another_merchants_catalogue_does_not_exist(stranger, integration, merchant):
    assert stranger.get(CATALOGUE, {"merchant": merchant.pk}).status_code == 404
    assert "Acme India" not in text(stranger.get(CATALOGUE))


@pytest.mark.parametrize("wanted", ["abc", "-1", "9" * 30, "²"])
def test_what_is_no_merchant_is_not_found(staff, wanted):
    assert staff.get(CATALOGUE, {"merchant": wanted}).status_code == 404


def test_administrators_choose_the_merchant(administrator, merchant, other_merchant, integration):
    set_status(integration, Status.ACTIVE)

    default, chosen = administrator.get(CATALOGUE), administrator.get(CATALOGUE, {"merchant": other_merchant.pk})

    assert "Open CleverTap" in text(default)
    assert "Zebra Zone" in text(default)
    assert "Configure CleverTap" in text(chosen)


def test_staff_of_one_merchant_get_no_choice(staff, other_merchant):
    page = text(staff.get(CATALOGUE))

    assert "catalogue-merchant" not in page
    assert "Zebra Zone" not in page


def test_without_a_merchant_administrators_are_told_to_create_one(administrator):
    page = text(administrator.get(CATALOGUE))

    assert "Create the first merchant" in page
    assert reverse("admin:integrations_merchant_add") in page


def test_without_a_merchant_staff_are_told_whom_to_ask(merchant):
    page = text(member(None).get(CATALOGUE))

    assert "Ask your administrator to add you to a merchant" in page
    assert "Acme India" not in page


def test_the_number_of_queries_does_not_grow_with_merchants(administrator, merchant, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        administrator.get(CATALOGUE)
