"""Logging in: who guesses is locked out and told until when, nobody else is; names stay unknown; sessions end in time."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PASSWORD = "a-Long-Enough-Word-7"
OFFICE, ELSEWHERE = "203.0.113.7", "198.51.100.9"


@pytest.fixture(autouse=True)
def ada(django_user_model):
    return django_user_model.objects.create_superuser("ada", password=PASSWORD)


def attempt(username="ada", password="wrong", client=None, **meta):
    return (client or Client()).post(LOGIN, {"username": username, "password": password}, **{"REMOTE_ADDR": OFFICE, **meta})


def fail(times: int, **given):
    return [attempt(**given).status_code for _turn in range(times)]


def test_the_fifth_failure_locks_out_for_a_quarter_of_an_hour_and_the_page_says_until_when():
    with time_machine.travel("2026-03-01T14:05:00+00:00", tick=False):
        assert fail(5) == [200] * 4 + [429]
        page = attempt(password=PASSWORD)
    text = page.content.decode()
    assert page.status_code == 429 and page["Retry-After"] == "900"
    assert "Too many attempts" in text and "Try again at 14:20 UTC, in 15 minutes." in text
    with time_machine.travel("2026-03-01T14:19:59+00:00", tick=False):
        page = attempt(password=PASSWORD)
        assert page.status_code == 429 and "Try again at 14:20 UTC, in 1 minute." in page.content.decode()
    with time_machine.travel("2026-03-01T14:20:01+00:00", tick=False):
        assert attempt(password=PASSWORD).status_code == 302


def test_a_name_that_does_not_exist_is_answered_like_one_that_does():
    with time_machine.travel("2026-03-01T14:05:00+00:00", tick=False):
        answers = [[attempt(name) for _turn in range(6)] for name in ("ada", "nobody")]
    there, not_there = (
        [(one.status_code, one.content.decode().replace(name, "NAME")) for one in pages]
        for name, pages in zip(("ada", "nobody"), answers, strict=True)
    )
    mask = [[(status, _without_token(text)) for status, text in pages] for pages in (there, not_there)]
    assert mask[0] == mask[1]


def _without_token(text: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)


def test_somebody_elsewhere_cannot_lock_out_whom_they_guess_at():
    assert fail(6, REMOTE_ADDR=ELSEWHERE)[-1] == 429
    assert attempt(password=PASSWORD).status_code == 302


def test_many_names_from_one_address_are_locked_out_together_and_no_other_address(settings):
    settings.LOGIN_FAILURES_PER_ADDRESS = 8
    assert [attempt(f"name-{number}").status_code for number in range(8)] == [200] * 7 + [429]
    refused = attempt(password=PASSWORD)
    assert refused.status_code == 429 and "Too many attempts" in refused.content.decode()
    assert attempt(password=PASSWORD, REMOTE_ADDR=ELSEWHERE).status_code == 302


def test_logging_in_forgives_ones_own_failures_and_nobody_elses(django_user_model):
    django_user_model.objects.create_superuser("eve", password=PASSWORD)
    fail(4)
    assert attempt("eve", PASSWORD).status_code == 302
    assert fail(1) == [429], "an account of one's own is no way to go on guessing at another"
    fail(4, REMOTE_ADDR=ELSEWHERE)
    assert attempt(password=PASSWORD, REMOTE_ADDR=ELSEWHERE).status_code == 302
    assert fail(4, REMOTE_ADDR=ELSEWHERE) == [200] * 4


def test_behind_proxies_the_address_is_what_the_last_of_ours_was_asked_by(settings):
    settings.TRUSTED_PROXY_COUNT = 2
    proxied = {"REMOTE_ADDR": "10.0.0.1"}
    forged = [f"1.2.3.{number}, {OFFICE}, 10.0.0.2" for number in range(6)]
    assert [attempt(HTTP_X_FORWARDED_FOR=told, **proxied).status_code for told in forged][-2:] == [429, 429]
    assert attempt(password=PASSWORD, HTTP_X_FORWARDED_FOR=f"{ELSEWHERE}, 10.0.0.2", **proxied).status_code == 302
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {OFFICE}


def test_a_proxy_that_nobody_told_us_of_is_not_locked_out_with_everybody_behind_it(settings):
    settings.LOGIN_FAILURES_PER_ADDRESS = 8
    proxied = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": ELSEWHERE}
    assert [attempt(f"name-{number}", **proxied).status_code for number in range(9)] == [200] * 9
    assert attempt(password=PASSWORD, **proxied).status_code == 302
    direct = {"REMOTE_ADDR": "9.9.9.9", "HTTP_X_FORWARDED_FOR": ELSEWHERE}
    assert [attempt(f"name-{number}", **direct).status_code for number in range(8)][-1] == 429, (
        "who comes from the internet cannot claim to be a proxy"
    )


@pytest.mark.parametrize("address", ["", "unix:", "::1", "2001:db8::7"])
def test_any_address_works(address):
    assert fail(5, REMOTE_ADDR=address)[-1] == 429


def test_a_cache_that_is_away_changes_nothing(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}}
    assert fail(6) == [200] * 4 + [429] * 2


def test_what_was_typed_is_not_kept_but_for_the_name(caplog):
    Client().post(LOGIN + "?secret=CANARY-Q", {"username": "ada", "password": "CANARY-P", "extra": "CANARY-E"})
    (row,) = AccessAttempt.objects.values()
    assert "CANARY" not in str(row) + caplog.text and row["username"] == "ada"


def test_old_failures_go_with_the_next_log_in():
    with time_machine.travel(timezone.now() - timedelta(hours=1)):
        fail(2, username="nobody")
    attempt(password=PASSWORD)
    assert not AccessAttempt.objects.exists()


def test_a_program_that_checks_a_password_comes_through_no_door():
    fail(5)
    assert authenticate(username="ada", password=PASSWORD) is not None
    assert authenticate(username="ada", password="wrong") is None
    assert Client().login(username="ada", password=PASSWORD)


def test_a_session_gets_a_new_key_at_logging_in_and_lasts_as_long_as_configured(settings):
    client = Client()
    client.get(LOGIN)
    planted = client.session
    planted["planted"] = 1
    planted.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = planted.session_key
    assert attempt(password=PASSWORD, client=client).status_code == 302
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie.value != planted.session_key and not Session.objects.filter(session_key=planted.session_key).exists()
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 12 * 3600)


def test_a_changed_password_ends_the_other_sessions_and_not_ones_own(ada):
    here, there = Client(), Client()
    for client in (here, there):
        attempt(password=PASSWORD, client=client)
    new = "Another-Long-Word-8"
    values = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/admin/password_change/", values).status_code == 302
    assert here.get("/admin/").status_code == 200
    assert there.get("/admin/").status_code == 302
