"""The pages of orders, reviews, referrals and tiers: verbs, rows added by hand, and who may."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events.models import EventDelivery
from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Customer, Order, Referral, Review, TierChange
from nectorbridge.testing import make

TOPICS = (
    "order_create",
    "order_update",
    "order_refunded",
    "reviewrequest_create",
    "review_create",
    "review_approved",
    "referral_started",
    "refereenotify_create",
    "referrernotify_create",
    "viptier_create",
    "lead_update",
)
MODELS = {"order": Order, "review": Review, "referral": Referral, "tierchange": TierChange}
FROM_THE_CUSTOMER = {
    "place_order": {"order_id": "99", "total": "100"},
    "request_review": {"product_name": "Linen shirt"},
    "start_referral": {"friend_email": "ravi@example.com"},
    "change_tier": {"tier": "Gold"},
}


@pytest.fixture
def heard(shop):
    """An event of every topic; returns the topics that were announced, sorted."""
    integration = make.integration(shop)
    for topic in TOPICS:
        make.definition(integration, trigger=topic, name=topic)
    return lambda: sorted(EventDelivery.objects.values_list("trigger", flat=True))


@pytest.fixture
def order(customer):
    return services.place_order(customer, "99", 100, number="#1042")


def page(row, verb: str = "change") -> str:
    return reverse(f"admin:loyalty_{row._meta.model_name}_{verb}", args=[row.pk])


def of(model: str, verb: str) -> str:
    return reverse(f"admin:loyalty_{model}_{verb}")


def rows() -> dict[str, int]:
    return {name: model.objects.count() for name, model in MODELS.items()}


# --- From the customer's page ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["owner", "manager"])
@pytest.mark.parametrize(
    ("verb", "said", "told"),
    [
        ("place_order", "Asha Rao placed order 99.", ["order_create"]),
        ("request_review", "Asha Rao is asked for a review.", ["reviewrequest_create"]),
        ("start_referral", "Asha Rao referred ravi@example.com.", ["refereenotify_create", "referral_started"]),
        ("change_tier", "Asha Rao is in tier Gold now.", ["viptier_create"]),
    ],
)
def test_a_verb_does_it_tells_once_and_links_what_is_sent(request, heard, customer, who, verb, said, told):
    client = request.getfixturevalue(who)
    assert client.get(page(customer, verb)).status_code == 200 and sum(rows().values()) == 0
    answer = client.post(page(customer, verb), FROM_THE_CUSTOMER[verb] | {"portal": "pos"}, follow=True)
    text = answer.content.decode()
    assert answer.redirect_chain[-1][0].endswith("/change/") and said in text
    assert f"customer_ref__exact={customer.ref}" in text
    assert sum(rows().values()) == 1 and heard() == told
    assert set(EventDelivery.objects.values_list("portal", flat=True)) == {"pos"}


@pytest.mark.parametrize("verb", FROM_THE_CUSTOMER)
@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_only_owners_and_managers_of_the_merchant_act(request, customer, who, verb):
    client = request.getfixturevalue(who)
    assert client.get(page(customer, verb)).status_code == 403
    assert client.post(page(customer, verb), FROM_THE_CUSTOMER[verb]).status_code == 403
    assert sum(rows().values()) == 0


@pytest.mark.parametrize("verb", FROM_THE_CUSTOMER)
def test_nobody_acts_without_logging_in(customer, verb):
    answer = Client().post(page(customer, verb), FROM_THE_CUSTOMER[verb])
    assert answer.status_code == 302 and "/login/" in answer.url and sum(rows().values()) == 0


@pytest.mark.parametrize(
    ("verb", "values", "field", "words"),
    [
        ("place_order", {"order_id": "99", "total": "5"}, "order_id", "there already"),
        ("place_order", {"order_id": " ", "total": "5"}, "order_id", "required"),
        ("place_order", {"order_id": "100", "total": "-1"}, "total", "greater than or equal"),
        ("place_order", {"order_id": "100", "total": "1", "portal": "all"}, "portal", "valid choice"),
        ("start_referral", {"friend_name": "Ravi"}, "__all__", "email or a mobile"),
        ("start_referral", {"friend_email": "ASHA@example.com"}, "__all__", "refer themselves"),
        ("start_referral", {"friend_email": "ravi"}, "friend_email", "valid email"),
        ("change_tier", {"tier": ""}, "tier", "in no tier already"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(heard, owner, customer, order, verb, values, field, words):
    before = heard()
    answer = owner.post(page(customer, verb), values)
    assert answer.status_code == 200 and words in str(answer.context["form"].errors[field])
    assert sum(rows().values()) == 1 and heard() == before


def test_a_review_is_asked_for_about_ones_own_order_only(owner, customer, order):
    other = Customer.objects.create(merchant=customer.merchant, customer_id="c2")
    theirs = services.place_order(other, "77", 5)
    refused = owner.post(page(customer, "request_review"), {"order": theirs.pk})
    assert refused.context["form"].errors["order"] and not Review.objects.exists()
    owner.post(page(customer, "request_review"), {"order": order.pk})
    assert Review.objects.get().is_verified


def test_the_customers_page_shows_what_they_did_and_offers_the_verbs_to_those_who_may(owner, viewer, customer, order):
    services.submit_review(services.request_review(customer, product_name="Linen shirt"), 4)
    services.start_referral(customer, "ravi@example.com", friend_name="Ravi")
    services.change_tier(customer, "Gold")
    text = owner.get(page(customer)).content.decode()
    for row in (order, *Review.objects.all(), *Referral.objects.all(), *TierChange.objects.all()):
        assert page(row) in text
    assert all(page(customer, verb) in text for verb in FROM_THE_CUSTOMER)
    assert "#1042" in text and "4 ★" in text and f"{of('order', 'changelist')}?customer__id__exact={customer.pk}" in text
    seen = viewer.get(page(customer)).content.decode()
    assert page(order) in seen and not any(page(customer, verb) in seen for verb in FROM_THE_CUSTOMER)
    listed = owner.get(of("order", "changelist"), {"customer__id__exact": customer.pk})
    assert listed.context["cl"].result_count == 1


# --- From their own pages --------------------------------------------------------------------------------------------------
def test_an_order_is_refunded_in_parts_and_not_beyond(heard, owner, customer, order):
    form = owner.get(page(order, "refund")).context["form"]
    assert form["amount"].value() == Decimal(100)
    owner.post(page(order, "refund"), {"amount": "30"})
    refused = owner.post(page(order, "refund"), {"amount": "70.01"})
    assert f"70.00 {order.currency} is left" in str(refused.context["form"].errors["amount"])
    answer = owner.post(page(order, "refund"), {"amount": "70"}, follow=True)
    assert f"70.00 {order.currency} of order #1042 was refunded." in answer.content.decode()
    order.refresh_from_db()
    assert (order.status, order.refunded_total) == ("refunded", Decimal(100))
    assert page(order, "refund") not in answer.content.decode(), "there is nothing left"
    assert heard() == ["order_create", "order_refunded", "order_refunded"]
    again = owner.post(page(order, "refund"), {"amount": "1"})
    assert again.context["form"].errors["amount"] and len(heard()) == 3


def test_a_review_is_submitted_and_approved_once(heard, owner, customer):
    review = services.request_review(customer, product_name="Linen shirt")
    assert page(review, "submit") in (text := owner.get(page(review)).content.decode()) and page(review, "approve") not in text
    early = owner.post(page(review, "approve"), {})
    assert "only one that was submitted" in str(early.context["form"].errors)
    assert owner.post(page(review, "submit"), {"rating": "6"}).context["form"].errors["rating"]
    owner.post(page(review, "submit"), {"rating": "5", "text": "Fits well.", "portal": "app"})
    assert "Fits well." in owner.get(page(review, "approve")).content.decode()
    assert "already" in str(owner.post(page(review, "submit"), {"rating": "1"}).context["form"].errors["rating"])
    owner.post(page(review, "approve"), {})
    owner.post(page(review, "approve"), {})
    review.refresh_from_db()
    assert (review.status, review.rating, review.text) == ("approved", 5, "Fits well.")
    assert heard() == ["review_approved", "review_create", "reviewrequest_create"]


def test_a_referral_is_completed_once_and_the_friend_is_known_by_their_address(heard, owner, customer):
    friend = Customer.objects.create(merchant=customer.merchant, email="RAVI@example.com")
    referral = services.start_referral(customer, "ravi@example.com")
    assert "Reward in points" in owner.get(page(referral, "complete")).content.decode()
    assert owner.post(page(referral, "complete"), {"reward_coins": "-1"}).context["form"].errors["reward_coins"]
    owner.post(page(referral, "complete"), {"reward_coins": "200"})
    again = owner.post(page(referral, "complete"), {"reward_coins": "200"})
    assert "completed already" in str(again.context["form"].errors)
    referral.refresh_from_db()
    assert (referral.status, referral.reward_coins, referral.friend) == ("completed", 200, friend)
    assert heard().count("referrernotify_create") == 1


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_the_verbs_of_rows_are_for_owners_and_managers(request, customer, order, who):
    review, referral = services.request_review(customer), services.start_referral(customer, "ravi@example.com")
    client = request.getfixturevalue(who)
    for row, verb in ((order, "refund"), (review, "submit"), (review, "approve"), (referral, "complete")):
        assert client.get(page(row, verb)).status_code == 403
        assert client.post(page(row, verb), {"amount": 1, "rating": 5, "reward_coins": 1}).status_code == 403
    for row in (order, review, referral):
        row.refresh_from_db()
    assert (order.status, review.status, referral.status) == ("placed", "requested", "started")


def test_viewers_look_and_see_no_verbs(viewer, customer, order):
    review, referral = services.request_review(customer), services.start_referral(customer, "ravi@example.com")
    change = services.change_tier(customer, "Gold")
    for row, verbs in ((order, ["refund"]), (review, ["submit", "approve"]), (referral, ["complete"]), (change, [])):
        text = viewer.get(page(row)).content.decode()
        assert "Asha Rao" in text and not any(page(row, verb) in text for verb in verbs) and 'name="_save"' not in text
        assert viewer.get(of(row._meta.model_name, "add")).status_code == 403


def test_another_merchants_staff_see_nothing(stranger, customer, order):
    found = (order, services.request_review(customer), services.start_referral(customer, "r@example.com"))
    for row in (*found, services.change_tier(customer, "Gold")):
        listed = stranger.get(of(row._meta.model_name, "changelist"), {"q": "asha@example.com"})
        assert listed.context["cl"].result_count == 0
        assert stranger.get(page(row)).status_code == 302
    asked = {"app_label": "loyalty", "model_name": "review", "field_name": "order"}
    assert stranger.get(reverse("admin:autocomplete"), asked).json()["results"] == []


# --- By hand ---------------------------------------------------------------------------------------------------------------
BY_HAND = {
    "order": ({"order_id": "1", "total": "12.50"}, ["order_create"]),
    "review": ({"product_name": "Linen shirt"}, ["reviewrequest_create"]),
    "referral": ({"friend_email": "ravi@example.com"}, ["refereenotify_create", "referral_started"]),
    "tierchange": ({"tier": "Gold"}, ["viptier_create"]),
}


@pytest.mark.parametrize("model", BY_HAND)
def test_a_row_added_by_hand_is_announced_once(heard, owner, customer, model):
    values, told = BY_HAND[model]
    assert owner.get(of(model, "add")).status_code == 200
    answer = owner.post(of(model, "add"), values | {"customer": customer.pk, "portal": "app"})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row = MODELS[model].objects.get()
    assert row.customer == customer and row.portal == "app" and heard() == told


@pytest.mark.parametrize("model", BY_HAND)
def test_a_row_of_another_merchants_customer_cannot_be_added(heard, stranger, customer, model):
    answer = stranger.post(of(model, "add"), BY_HAND[model][0] | {"customer": customer.pk, "portal": ""})
    assert answer.context["adminform"].form.errors["customer"] and sum(rows().values()) == 0 and heard() == []


@pytest.mark.parametrize(
    ("model", "values", "field", "words"),
    [
        ("order", {"order_id": "99", "total": "1"}, "__all__", "already exists"),
        ("order", {"order_id": " ", "total": "1"}, "order_id", "required"),
        ("order", {"order_id": "1", "total": "-1"}, "total", "greater than or equal"),
        ("review", {"text": "Fits well."}, "rating", "needs a rating"),
        ("review", {"rating": "6"}, "rating", "less than or equal"),
        ("referral", {"friend_name": "Ravi"}, "friend_email", "email or a mobile"),
        ("referral", {"friend_email": "Asha@Example.com"}, "friend_email", "refer themselves"),
        ("tierchange", {"tier": ""}, "tier", "in no tier already"),
    ],
)
def test_what_cannot_be_added_is_said_at_its_field(owner, customer, order, model, values, field, words):
    answer = owner.post(of(model, "add"), values | {"customer": customer.pk, "portal": ""})
    assert words in str(answer.context["adminform"].form.errors[field]) and sum(rows().values()) == 1


def test_an_order_added_by_hand_has_the_merchants_currency(owner, customer):
    owner.post(of("order", "add"), {"customer": customer.pk, "order_id": "1", "total": "5", "portal": ""})
    assert Order.objects.get().currency == customer.merchant.currency


def test_a_review_added_with_a_rating_was_written(heard, owner, customer, order):
    values = {"customer": customer.pk, "order": order.pk, "rating": "5", "text": "Fits.", "portal": ""}
    owner.post(of("review", "add"), values)
    review = Review.objects.get()
    assert (review.status, review.is_verified) == ("submitted", True) and review.submitted_at
    assert heard() == ["order_create", "review_create"]


def test_a_referral_is_cancelled_and_a_review_rejected_from_their_pages(owner, viewer, customer):
    referral, review = services.start_referral(customer, "ravi@example.com"), services.submit_review(customer, 1)
    for row, verb in ((referral, "cancel"), (review, "reject")):
        assert page(row, verb) in owner.get(page(row)).content.decode()
        assert viewer.post(page(row, verb), {}).status_code == 403
        assert owner.get(page(row, verb)).status_code == 200
        owner.post(page(row, verb), {})
        again = owner.post(page(row, verb), {})
        assert again.context["form"].errors
        row.refresh_from_db()
        assert page(row, verb) not in owner.get(page(row)).content.decode()
    assert (referral.status, review.status) == ("cancelled", "rejected")


def test_a_tier_added_by_hand_moves_the_customer(owner, customer):
    services.change_tier(customer, "Silver")
    owner.post(of("tierchange", "add"), {"customer": customer.pk, "tier": "Gold", "portal": ""})
    customer.refresh_from_db()
    change = TierChange.objects.latest("id")
    assert customer.tier == "Gold" and (change.former_tier, change.tier) == ("Silver", "Gold")
    assert owner.get(page(change)).status_code == 200


def test_of_an_order_only_number_and_state_change_and_that_is_told_once(heard, owner, customer, order):
    owner.post(page(order), {"number": "#1043", "status": "completed", "total": "1", "refunded_total": "9"})
    order.refresh_from_db()
    assert (order.number, order.status, order.total, order.refunded_total) == ("#1043", "completed", 100, 0)
    owner.post(page(order), {"number": "#1043", "status": "completed"})
    assert heard() == ["order_create", "order_update"]
    owner.post(page(order), {"number": "#1043", "status": "refunded"})
    order.refresh_from_db()
    assert order.status == "completed", "money goes back by the verb"


@pytest.mark.parametrize("who", ["owner", "administrator"])
def test_what_happened_is_neither_rewritten_nor_deleted(owner, customer, who):
    administrator = Client()
    administrator.force_login(get_user_model().objects.create_superuser("root"))
    client = {"owner": owner, "administrator": administrator}[who]
    review = services.submit_review(customer, 5, "Fits well.")
    referral, change = services.start_referral(customer, "ravi@example.com"), services.change_tier(customer, "Gold")
    for row in (review, referral, change):
        assert client.post(page(row), {"text": "Bad.", "tier": "None", "friend_email": "x@example.com"}).status_code == 403
    for row in (review, referral, change, services.place_order(customer, "1", 1)):
        assert client.post(page(row, "delete"), {"post": "yes"}).status_code == 403
    assert rows() == {"order": 1, "review": 1, "referral": 1, "tierchange": 1}
    assert (Review.objects.get().text, TierChange.objects.get().tier) == ("Fits well.", "Gold")


# --- Lists -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", MODELS)
def test_an_empty_list_says_what_to_do_first(owner, viewer, model):
    text = owner.get(of(model, "changelist")).content.decode()
    assert "yet" in text and of(model, "add") in text
    assert of(model, "add") not in viewer.get(of(model, "changelist")).content.decode()


@pytest.mark.parametrize(
    ("model", "words"), [("order", "#1042"), ("review", "c1"), ("referral", "RAVI@example.com"), ("tierchange", "gold")]
)
def test_rows_are_found(owner, customer, order, model, words):
    (
        services.request_review(customer),
        services.start_referral(customer, "ravi@example.com"),
        services.change_tier(customer, "Gold"),
    )
    answer = owner.get(of(model, "changelist"), {"q": words})
    assert answer.context["cl"].result_count == 1 and "Asha Rao" in answer.content.decode()
    assert owner.get(of(model, "changelist"), {"q": "nothing"}).context["cl"].result_count == 0


def test_the_menu_has_them_beside_the_customers(owner):
    text = owner.get(of("customer", "changelist")).content.decode()
    assert all(of(model, "changelist") in text for model in MODELS)
