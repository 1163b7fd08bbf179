"""Whatever breaks with a secret in hand: neither Django's own error page, nor ours, nor an error mail, nor a log has it."""

from __future__ import annotations

import logging
import sys

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.log import AdminEmailHandler

from integrations.models import Integration
from nectorbridge.error_reports import NothingInHand, WithheldWords
from nectorbridge.logs import JsonFormatter
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
MARK = "".join(("CAN", "ARY"))  # pages quote the source, too
CANARY = f"{MARK}-IN-HAND-7Q4Z"


class Broken(Exception):
    """An error of a library, that quotes what it was given."""

    __module__ = "elsewhere"


def breaks(*arguments, **_options):
    in_hand = {"again": CANARY, "given": arguments}
    raise Broken(f"cannot take {CANARY} of {in_hand}")


def configure(client, shop):
    values = {"account_id": "K97", "server_prefix": "in1", "private_api_key": CANARY, "common_property": "email"}
    return client.post(reverse("admin:integrations_integration_change", args=[shop.pk]), values)


def log_in(_client, _shop):
    return Client(raise_request_exception=False).post("/admin/login/", {"username": "root", "password": CANARY})


def make_secret(client, shop):
    return client.post(f"{reverse('admin:loyalty_nector_door')}?key={CANARY}", {"verb": "secret", "secret": CANARY})


def protect(client, shop):
    return client.post(reverse("admin:events_coming_back", args=[shop.pk]), {"verb": "auth", "auth": CANARY})


def callback(client, shop):
    address = f"/callbacks/clevertap/{shop.callback_token}/"
    return client.post(address, "[]", content_type="application/json", headers={"Authorization": CANARY, "X-Acme": CANARY})


def webhook(client, shop):
    address = f"/webhooks/nector/{shop.merchant.nector_webhook_token}/"
    return client.post(address, "{}", content_type="application/json", headers={"X-Nector-Webhook-Secret": CANARY})


def set_up_page(client, shop):
    return client.get(reverse("admin:integrations_integration_change", args=[shop.pk]))


CASES = [
    ("integrations.forms.SetupForm.columns", configure),
    ("integrations.forms.bind", configure),
    ("django.contrib.auth.backends.ModelBackend.authenticate", log_in),
    ("integrations.models.merchants.bind", make_secret),
    ("integrations.models.connections.bind", protect),
    ("events.callback_door.is_authorised", callback),
    ("events.callback_door.read_body", callback),
    ("nectorbridge.loyalty.nector.door._taken_in", webhook),
    ("integrations.models.connections.unbind", set_up_page),
    ("integrations.admin.integration.setup_context", set_up_page),
]


@pytest.fixture
def shop():
    merchant = make.merchant(nector_webhook_secret=CANARY)
    row = make.integration(merchant, secrets={"private_api_key": CANARY}, callback_auth=CANARY)
    Integration.objects.filter(pk=row.pk).update(initialized_at=None, status="draft")
    row.refresh_from_db()
    return row


@pytest.fixture
def root():
    client = Client(raise_request_exception=False)
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


@pytest.fixture
def told():
    """What is logged, as written and as mailed to administrators."""
    written = []

    class Keep(logging.Handler):
        def emit(self, record):
            written.append(JsonFormatter().format(record))

    handlers = [Keep(), AdminEmailHandler(include_html=True)]
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    yield written
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(("where", "ask"), CASES, ids=[f"{ask.__name__}-{where.rpartition('.')[2]}" for where, ask in CASES])
def test_whatever_breaks_shows_where_and_not_what_was_in_hand(where, ask, debug, shop, root, told, settings, monkeypatch):
    settings.DEBUG, settings.ADMINS = debug, [("Ops", "ops@acme.example")]
    monkeypatch.setattr(where, breaks)
    answer = ask(root, shop)
    page = answer.content.decode()
    assert answer.status_code == 500
    assert ("Broken" in page and "in_hand" in page) is debug, "it says what broke, and where"
    mails = [part for one in mail.outbox for part in (one.subject, one.body, *(text for text, _kind in one.alternatives))]
    assert any("Broken" in part for part in mails) and any("Broken" in line for line in told)
    for text in (page, *told, *mails):
        assert CANARY not in text and CANARY[:-4] not in text


def test_settings_and_the_environment_are_hidden(settings, rf):
    settings.DEBUG = True
    settings.REDIS_URL = f"redis://:{MARK}-REDIS@127.0.0.1/0"
    settings.CACHES = settings.CACHES | {"other": {"BACKEND": "x", "LOCATION": f"redis://:{MARK}-CACHE@127.0.0.1"}}
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"redis": f"redis://:{MARK}-CLUSTER@127.0.0.1"}
    settings.FERNET_KEYS = settings.TRACKING_KEYS = [f"{MARK}-FERNET"]
    settings.SECRET_KEY, settings.METRICS_TOKEN, settings.EMAIL_HOST_PASSWORD = f"{MARK}-KEY", f"{MARK}-TOKEN", f"{MARK}-MAIL"
    request = rf.get("/", headers={"X-Anything": f"{MARK}-HEADER"})
    request.META |= {"ADMIN_PASSWORD": f"{MARK}-ENVIRONMENT", "DATABASE_URL": f"postgres://u:{MARK}-DB@h/n"}
    request.COOKIES["sessionid"] = f"{MARK}-COOKIE"
    try:
        breaks()
    except Broken:
        reporter = WithheldWords(request, *sys.exc_info())
    for page in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert f"{MARK}-" not in page and "Broken" in page


def test_mistakes_of_programs_keep_their_words():
    try:
        raise AttributeError("'Merchant' object has no attribute 'nme'")
    except AttributeError:
        page = WithheldWords(RequestFactory().get("/"), *sys.exc_info()).get_traceback_html()
    assert "has no attribute" in page
    assert NothingInHand().is_active(None)
