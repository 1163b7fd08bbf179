"""The second factor: nothing else until it is set up, a code at each log-in, none taken twice, recovery, and who may reset it."""

from __future__ import annotations

import html
import io
import re
import time

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_otp.oath import TOTP

from integrations.models import Membership
from nectorbridge.loyalty.tests.conftest import login
from nectorbridge.models import RecoveryCode, SecondFactor
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
PAGE, STAFF, HOME, DELIVERIES = "/admin/second-factor/", "/admin/second-factor/staff/", "/admin/", "/admin/events/eventdelivery/"


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel("2026-03-01T10:00:00+00:00", tick=False) as travel:
        yield travel


@pytest.fixture
def shop():
    return make.merchant("shop", requires_second_factor=True)


@pytest.fixture
def owner(shop):
    return login("owner", shop)


def text(answer) -> str:
    return html.unescape(answer.content.decode())


def code_of(key: bytes, steps: int = 0) -> str:
    made = TOTP(key)
    made.time = time.time() + 30 * steps
    return f"{made.token():06d}"


def key_on(page: str) -> bytes:
    import base64

    (shown,) = re.findall(r'font-mono mb-4 nb-break">([A-Z2-7 ]+)<', page)
    return base64.b32decode(shown.replace(" ", ""))


def enrol(client) -> tuple[bytes, list[str]]:
    key = key_on(text(client.post(PAGE, {"verb": "begin"})))
    page = text(client.post(PAGE, {"verb": "confirm", "code": code_of(key)}))
    return key, re.findall(r"<li>([0-9a-f]{4}(?:-[0-9a-f]{4}){3})</li>", page)


def again(username: str) -> Client:
    """Return another browser of the same person, with the password entered."""
    client = Client()
    client.force_login(get_user_model().objects.get(username=username))
    return client


def test_people_of_a_merchant_that_requires_it_can_do_nothing_else_until_it_is_set_up(owner):
    for path in (HOME, DELIVERIES, "/admin/password_change/", reverse("queue_health"), STAFF, "/admin/search/?s=a"):
        answer = owner.get(path)
        assert (answer.status_code, answer.url.partition("?")[0]) == (302, PAGE), path
    answer = owner.post(reverse("admin:integrations_integration_configure"), {"provider": "clevertap"})
    assert (answer.status_code, answer.url) == (302, PAGE)
    assert "Your merchant requires a second factor" in text(owner.get(PAGE))
    assert owner.post("/admin/logout/").status_code == 200


def test_administrators_without_a_merchant_set_it_up_where_the_installation_requires_it(settings):
    get_user_model().objects.create_superuser("root")
    browser, clerk = again("root"), login("clerk", make.merchant())
    assert browser.get(HOME).status_code == 200, "not required unless it is said"

    settings.SECOND_FACTOR_FOR_ADMINISTRATORS = True
    assert browser.get(HOME).url.partition("?")[0] == PAGE
    assert "A second factor is required of administrators" in text(browser.get(PAGE))
    assert clerk.get(HOME).status_code == 200, "staff have no say in it, and no part"

    _key, recovery = enrol(browser)
    assert browser.get(HOME).status_code == 200
    page = text(browser.get(PAGE))
    assert "Remove the second factor" not in page
    refused = text(browser.post(PAGE, {"verb": "remove", "code": recovery[0]}))
    assert "It is required of administrators" in refused and SecondFactor.objects.exists()


def test_check_deploy_names_it_and_a_plain_check_does_not(settings):
    def told(**given) -> list[str]:
        return [one.id for one in run_checks(**given) if one.id == "nectorbridge.I001"]

    assert told() == []
    assert told(include_deployment_checks=True) == ["nectorbridge.I001"]
    settings.SECOND_FACTOR_FOR_ADMINISTRATORS = True
    assert told(include_deployment_checks=True) == []


def test_a_get_sets_nothing_up(owner):
    owner.get(PAGE)
    assert not SecondFactor.objects.exists()


def test_setting_it_up_shows_the_key_until_a_code_was_entered_and_ten_recovery_codes_once(owner):
    page = text(owner.post(PAGE, {"verb": "begin"}))
    key = key_on(page)
    assert "<svg" in page and "<script" not in page.partition("<svg")[2].partition("</svg>")[0] and "http" not in key.hex()
    assert key_on(text(owner.get(PAGE))) == key, "it can be left and found again"
    assert "That code was not taken" in text(owner.post(PAGE, {"verb": "confirm", "code": "000000"}))
    assert owner.get(HOME).status_code == 302
    SecondFactor.objects.update(throttling_failure_count=0)
    page = text(owner.post(PAGE, {"verb": "confirm", "code": code_of(key)}))
    assert len(set(re.findall(r"<li>[0-9a-f-]{19}</li>", page))) == 10
    assert owner.get(HOME).status_code == 200
    page = text(owner.get(PAGE))
    assert "10 recovery codes are left" in page and "<svg" not in page.partition("Code")[0] and "font-mono" not in page


def test_nothing_that_is_stored_or_dumped_lets_anybody_in(owner):
    key, recovery = enrol(owner)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nectorbridge_secondfactor")
        rows = [bytes(value) if isinstance(value, memoryview) else value for value in cursor.fetchone()]
        cursor.execute("SELECT * FROM nectorbridge_recoverycode")
        rows += cursor.fetchall()
    out = io.StringIO()
    call_command("dumpdata", "nectorbridge", stdout=out)
    told = f"{rows!r} {out.getvalue()} {SecondFactor.objects.get()!r}"
    assert key.hex() not in told and not [code for code in recovery if code in told or code.replace("-", "") in told]


def test_the_next_log_in_asks_for_a_code_and_leads_on(owner, clock):
    key, _recovery = enrol(owner)
    browser = again("owner")
    answer = browser.get(DELIVERIES + "?status=sent")
    assert answer.url == f"{PAGE}?next=%2Fadmin%2Fevents%2Feventdelivery%2F%3Fstatus%3Dsent"
    page = text(browser.get(answer.url))
    assert "Enter the code that your authenticator app shows" in page and "Set it up" not in page
    clock.shift(60)
    before = browser.session.session_key
    answer = browser.post(PAGE, {"verb": "show", "code": code_of(key), "next": DELIVERIES})
    assert answer.url == DELIVERIES and browser.get(DELIVERIES).status_code == 200
    assert browser.session.session_key != before
    assert again("owner").post(PAGE, {"verb": "show", "code": "x", "next": "https://evil.example/"}).status_code == 200


def test_it_leads_to_no_other_server(owner, clock):
    key, _recovery = enrol(owner)
    clock.shift(60)
    assert again("owner").post(PAGE, {"verb": "show", "code": code_of(key), "next": "https://evil.example/"}).url == HOME


def test_a_code_is_taken_once_and_only_in_its_time(owner, clock):
    key, _recovery = enrol(owner)
    assert "was not taken" in text(again("owner").post(PAGE, {"verb": "show", "code": code_of(key)})), "it was used to set up"
    clock.shift(60)
    code = code_of(key)
    assert again("owner").post(PAGE, {"verb": "show", "code": f" {code[:3]} {code[3:]} "}).status_code == 302
    assert "was not taken" in text(again("owner").post(PAGE, {"verb": "show", "code": code}))
    clock.shift(300)
    assert "was not taken" in text(again("owner").post(PAGE, {"verb": "show", "code": code_of(key, -4)}))


def test_wrong_codes_make_the_next_one_wait_and_a_right_one_does_not_get_through_meanwhile(owner, clock):
    key, _recovery = enrol(owner)
    clock.shift(60)
    browser = again("owner")
    for turn in range(5):
        clock.shift(2**turn)
        page = text(browser.post(PAGE, {"verb": "show", "code": "000000"}))
    assert "Wait 16 seconds" in page
    assert browser.post(PAGE, {"verb": "show", "code": code_of(key)}).status_code == 200
    clock.shift(17)
    assert browser.post(PAGE, {"verb": "show", "code": code_of(key)}).status_code == 302


def test_a_recovery_code_lets_in_once(owner, clock):
    _key, recovery = enrol(owner)
    assert again("owner").post(PAGE, {"verb": "show", "code": recovery[0].upper()}).status_code == 302
    assert again("owner").post(PAGE, {"verb": "show", "code": recovery[0]}).status_code == 200
    clock.shift(5)
    assert again("owner").post(PAGE, {"verb": "show", "code": recovery[1]}).status_code == 302
    assert RecoveryCode.objects.count() == 8


def test_an_app_that_was_not_confirmed_cannot_be_replaced_by_who_only_has_the_password(owner):
    key, _recovery = enrol(owner)
    browser = again("owner")
    for verb in ("begin", "confirm", "codes", "remove"):
        browser.post(PAGE, {"verb": verb, "code": code_of(key)})
    assert SecondFactor.objects.get().key == key and browser.get(HOME).status_code == 302


def test_new_recovery_codes_and_removing_need_a_code(owner, shop, clock):
    key, recovery = enrol(owner)
    assert "was not taken" in text(owner.post(PAGE, {"verb": "codes", "code": "1"}))
    clock.shift(60)
    page = text(owner.post(PAGE, {"verb": "codes", "code": code_of(key)}))
    assert len(re.findall(r"<li>[0-9a-f-]{19}</li>", page)) == 10 and recovery[0] not in page
    clock.shift(60)
    assert "cannot be removed" in text(owner.post(PAGE, {"verb": "remove", "code": code_of(key)}))
    shop.requires_second_factor = False
    shop.save()
    assert owner.post(PAGE, {"verb": "remove", "code": code_of(key)}).status_code == 302
    assert not SecondFactor.objects.exists() and owner.get(HOME).status_code == 200


def test_anybody_may_have_one_and_is_asked_for_it_then(clock):
    clerk = login("clerk", make.merchant("relaxed"), "viewer")
    assert clerk.get(HOME).status_code == 200
    key, _recovery = enrol(clerk)
    assert again("clerk").get(HOME).url.startswith(PAGE)
    clock.shift(60)
    assert again("clerk").post(PAGE, {"verb": "show", "code": code_of(key)}).status_code == 302


def test_an_owner_requires_it_and_from_that_moment_on_everybody_needs_it():
    relaxed = make.merchant("relaxed")
    boss, clerk, manager = login("boss", relaxed), login("clerk", relaxed, "viewer"), login("manager", relaxed, "manager")
    path = reverse("admin:integrations_merchant_change", args=[relaxed.pk])
    values = {"name": "Relaxed", "timezone": "UTC", "currency": "INR", "coin_name": "coins", "requires_second_factor": "on"}
    manager.post(path, values)
    assert clerk.get(HOME).status_code == 200, "a manager may not"
    boss.post(path, values)
    assert [who.get(HOME).status_code for who in (boss, clerk, manager)] == [302] * 3


def test_an_administrator_resets_anybodys(owner):
    enrol(owner)
    person = get_user_model().objects.get(username="owner")
    root = Client()
    root.force_login(get_user_model().objects.create_superuser("root"))
    assert "Reset the second factor of owner" in text(root.get(STAFF))
    assert root.post(STAFF, {"user": person.pk}).status_code == 302
    assert not SecondFactor.objects.exists() and owner.get(HOME).url.startswith(PAGE)
    assert LogEntry.objects.filter(object_id=person.pk, change_message__contains="reset").count() == 1


def test_an_owner_resets_only_those_who_work_for_their_merchants_alone(shop, owner):
    enrol(owner)
    other = make.merchant("other")
    mine, shared, theirs = (login(name, shop, "viewer") for name in ("mine", "shared", "theirs"))
    people = {name: get_user_model().objects.get(username=name) for name in ("mine", "shared", "theirs", "owner")}
    Membership.objects.create(merchant=other, user=people["shared"], role="viewer")
    Membership.objects.filter(user=people["theirs"]).update(merchant=other)
    people["root"] = get_user_model().objects.create_superuser("root")
    Membership.objects.create(merchant=shop, user=people["root"])
    for client in (mine, shared, theirs):
        enrol(client)
    assert owner.post(STAFF, {"user": people["mine"].pk}).status_code == 302
    for name in ("shared", "theirs", "owner", "root"):
        assert owner.post(STAFF, {"user": people[name].pk}).status_code == 403, name
    assert {factor.user.username for factor in SecondFactor.objects.all()} == {"owner", "shared", "theirs"}
    for who in (shared, theirs):
        assert who.get(STAFF).status_code == 403


def test_a_key_that_cannot_be_read_leaves_the_recovery_codes_and_says_so(owner, use_keys):
    _key, recovery = enrol(owner)
    use_keys("z" * 40)
    browser = again("owner")
    assert "The stored key cannot be read" in text(browser.post(PAGE, {"verb": "show", "code": "123456"}))
    assert browser.post(PAGE, {"verb": "show", "code": recovery[0]}).status_code == 302


def test_the_gate_asks_one_question_at_a_page_of_the_admin_and_none_at_public_addresses(client):
    clerk = login("clerk", make.merchant("relaxed"), "viewer")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        clerk.get(HOME)
    assert sum("secondfactor" in query["sql"] for query in asked.captured_queries) == 1
    clerk_public = clerk
    with CaptureQueriesContext(connection) as asked:
        clerk_public.get("/healthz")
    assert asked.captured_queries == []
