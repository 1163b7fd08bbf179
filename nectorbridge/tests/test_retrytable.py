"""The page of retries says what the code does; mail settings are read, or refused without a word of the password."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from nectorbridge import reading, retrytable, triggertable


@pytest.mark.parametrize("page", [retrytable, triggertable])
def test_the_page_is_up_to_date(page):
    assert page.PATH.read_text() == page.render(), f"run: manage.py {page.__name__.rpartition('.')[2]}"


def test_it_has_every_wait_of_the_table(settings):
    rows = [line.split("|")[1:4] for line in retrytable.render().splitlines() if re.match(r"\| \d", line)]
    waits = [wait.strip() for _numbers, wait, _since in rows]
    assert waits == [
        *["at once", "5 seconds", "30 seconds", "2 minutes", "10 minutes", "30 minutes"],
        *["1 hour", "3 hours", "6 hours", "12 hours", "1 day"],
    ]
    assert rows[-1][0].strip() == "11 to 18" and rows[-1][2].strip() == "8.9 days"


@pytest.mark.parametrize("name", ["retrytable", "triggertable"])
def test_the_command_writes_it_and_can_tell_that_it_is_old(tmp_path, monkeypatch, name):
    monkeypatch.setattr(f"nectorbridge.management.commands.{name}.PATH", tmp_path / "page.md")
    with pytest.raises(CommandError, match=f"out of date. Run: manage.py {name}"):
        call_command(name, "--check")
    call_command(name)
    call_command(name, "--check")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}),
        ("consolemail://", {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}),
        ("filemail:///var/mail/out", {"EMAIL_FILE_PATH": "/var/mail/out"}),
        (
            "smtp+tls://asha:p%2Fw@mail.example.com",
            {"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": 587, "EMAIL_HOST_PASSWORD": "p/w", "EMAIL_USE_TLS": True},
        ),
        ("smtp+ssl://mail.example.com:4650", {"EMAIL_PORT": 4650, "EMAIL_USE_SSL": True}),
        ("smtp://mail.example.com", {"EMAIL_PORT": 25}),
    ],
)
def test_a_mail_address_becomes_djangos_settings(url, expected):
    assert expected.items() <= reading.mail(url).items()


@pytest.mark.parametrize("url", ["mail.example.com", "https://u:CANARY@x", "smtp://u:CANARY@:25", "smtp://u:CANARY@h:port"])
def test_a_mail_address_that_cannot_be_read_is_refused_without_its_password(url):
    with pytest.raises(ImproperlyConfigured) as refused:
        reading.mail(url)
    assert "EMAIL_URL" in str(refused.value) and "CANARY" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://bridge.example.com:8443/x", "bridge.example.com"),
        ("http://127.0.0.1:8000", "localhost"),
        ("http://[::1]", "localhost"),
    ],
)
def test_mail_comes_from_the_public_host(url, host):
    assert reading.host_of(url) == host
