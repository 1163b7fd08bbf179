"""A whole journey with planted secrets, and a search of all that was shown, logged, stored, exported and mailed on the way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from django_otp.oath import TOTP

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import served
from nectorbridge.testing.canaries import Search, Visitor, columns
from nectorbridge.testing.installation import wait_for

pytestmark = pytest.mark.journey
HOME, LIST = "/admin/password_change/", "/admin/integrations/integration/"

# Each is of a form that its provider takes, and stands nowhere else.
ROOT, CALLBACK, NECTOR = "CANARY-root-password-7Q4Z", "CANARY-callback-auth-7Q4Z", "CANARY-nector-secret-7Q4Z"
STAFF = {role: f"CANARY-{role}-password-7Q4Z" for role in ("owner", "manager", "viewer")}
KEYS = {
    "clevertap": {"private_api_key": "CANARY-CT-RIGHT-7Q4Z"},
    "moengage": {"data_api_key": "CANARY-ME-RIGHT-7Q4Z"},
    "wigzo": {"org_token": "CANARYorgtokenRIGHT7Q4Z", "api_token": "CANARYapitokenRIGHT7Q4Z"},
    "mailmodo": {"api_key": "CANARY-MM-RIGHT-7Q4Z"},
    "contlo": {"private_api_key": "CANARY-CO-RIGHT-7Q4Z"},
}
WRONG = {slug: {name: value.replace("RIGHT", "WRONG") for name, value in keys.items()} for slug, keys in KEYS.items()}
VALUES = {
    "clevertap": {"account_id": "K97-K78-1234", "server_prefix": "in1", "common_property": "customer_id"},
    "moengage": {"workspace_id": "VJ0GSMESHMQA3L7WV1EEK3UR", "server_prefix": "03", "common_property": "customer_id"},
    "wigzo": {"common_property": "email"},
    "mailmodo": {"list_name": "Rewards Members", "requests_per_second": "5", "common_property": "email"},
    "contlo": {"app_installed": "true", "common_property": "email"},
}
ACCOUNTS = {
    "K97-K78-1234": "CANARY-CT-RIGHT-7Q4Z",
    "VJ0GSMESHMQA3L7WV1EEK3UR": "CANARY-ME-RIGHT-7Q4Z",
    "mailmodo": "CANARY-MM-RIGHT-7Q4Z",
    "contlo": "CANARY-CO-RIGHT-7Q4Z",
    "CANARYorgtokenRIGHT7Q4Z": "CANARYapitokenRIGHT7Q4Z",
}
PLANTED = [
    ROOT,
    CALLBACK,
    NECTOR,
    *STAFF.values(),
    *(value for keys in (*KEYS.values(), *WRONG.values()) for value in keys.values()),
]
PEOPLE = f"""
from django.contrib.auth import get_user_model
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
for role, password in {STAFF!r}.items():
    u = get_user_model().objects.create_user(role, f"{{role}}@acme.example", password, is_staff=True)
    Membership.objects.create(merchant=m, user=u, role=role)
Customer.objects.create(merchant=m, customer_id="c1", email="asha@example.com", name="Asha Rao", phone="+919876543210")
print(json.dumps(m.pk))
"""
STATE = "row = Integration.objects.get(provider={!r}); print(json.dumps([row.pk, row.status, row.check_result.get('ok')]))"
EVENTS = """
for row in Integration.objects.all():
    EventDefinition.objects.create(integration=row, trigger="walletreward_create", name="Wallet Coins Rewarded")
print(json.dumps(list(EventDefinition.objects.values_list("pk", flat=True))))
"""
CREDIT = "services.credit(Customer.objects.get(customer_id='c1'), 10); print(1)"
STATES = "from collections import Counter\nprint(json.dumps(Counter(EventDelivery.objects.values_list('status', flat=True))))"
SENT = "print(json.dumps([str(pk) for pk in EventDelivery.objects.filter(status='sent').values_list('pk', flat=True)]))"
# What came back with a key in it was kept, without the key.
ECHOES = "print(json.dumps([row for row in Call.objects.values_list('response', flat=True) if '••••' in str(row)]))"
STATUSES = "print(json.dumps(list(Integration.objects.values_list('status', flat=True))))"
UNREADABLE = """
first, second = Integration.objects.order_by("pk")[:2]
Integration.objects.filter(pk=second.pk).update(sealed_secrets=first.sealed_secrets)
print(json.dumps(second.pk))
"""
ADDRESSES = """
from django.contrib import admin
from django.urls import NoReverseMatch, reverse
found = [reverse("admin:index"), reverse("admin:password_change"), reverse("queue_health")]
for model, model_admin in admin.site._registry.items():
    rows = list(model._default_manager.all()[:8])
    for pattern in model_admin.get_urls():
        for arguments in ([], *([row.pk] for row in rows)):
            try:
                found.append(reverse(f"admin:{pattern.name}", args=arguments))
            except NoReverseMatch:
                pass
print(json.dumps(sorted(set(found))))
"""
REPRS = """
from django.apps import apps
from django.contrib.sessions.models import Session
from integrations.candidates import pending
said = [repr(row.get_decoded()) for row in Session.objects.all()]
for model in apps.get_models():
    for row in model._default_manager.all()[:20]:
        said += [repr(row), str(row), repr(vars(row))]
for row in Integration.objects.all():
    said += [repr(pending(row)), repr(row.masked_secrets)]
    try:
        said += [repr(row.secrets), str(row.secrets), repr(row.account()), repr([row.secrets])]
    except Exception as error:
        said += [repr(error), str(error)]
said += [repr(m.nector_secrets) for m in Merchant.objects.all()]
print(json.dumps(said))
"""
SEALED = """
from integrations.rotation import columns
print(json.dumps([[one.model._meta.db_table, one.field.column] for one in columns()]))
"""


@pytest.fixture
def sandbox():
    with Sandbox.running(accounts=ACCOUNTS) as running:
        yield running


def test_no_secret_is_shown_logged_stored_exported_or_mailed(tmp_path, sandbox):
    search = Search(PLANTED)
    mails = tmp_path / "mails"
    given = {"ADMIN_PASSWORD": ROOT, "LOG_LEVEL": "DEBUG", "DEBUG": "true", "EMAIL_URL": f"filemail://{mails}"}
    given |= {"DELIVERY_BREAKER_STEPS": "1"}
    with served(tmp_path, sandbox, PEOPLE, **given) as (outside, base):
        people = [Visitor(base, name, password, search) for name, password in {"admin": ROOT, **STAFF}.items()]
        administrator, owner, _manager, viewer = people
        connect(outside, owner, sandbox)
        doors(outside, base, owner, search)
        enrol(viewer, search)
        deliver(outside, owner, sandbox)
        outside.ask(UNREADABLE)
        outside.ask(CREDIT)

        for path in outside.ask(ADDRESSES):
            for somebody in (administrator, owner, viewer):
                somebody.get(path)
        administrator.get("/nowhere/")
        assert set(outside.ask(STATES)) >= {"sent", "failed", "held"} and len(outside.ask(ECHOES)) > 2

        for command in (["dumpdata"], ["rotatekeys"], ["doctor", "--json"], ["rotatekeys", "--check"]):
            search.look(" ".join(command), printed(outside, *command))
        for said in outside.ask(REPRS):
            search.look("repr", said)
        sealed = {tuple(pair) for pair in outside.ask(SEALED)}
    look_at_files(tmp_path, search)
    look_at_the_database(tmp_path / "journey.sqlite3", sealed, search)
    assert list(mails.iterdir()), "somebody was written to"
    assert search.statuses[200] > 300 and not [status for status in search.statuses if status >= 500], search.statuses
    assert sorted(search.found) == []


def test_the_search_finds_what_is_there():
    secret = "CANARY-callback-auth-7Q4Z"
    search = Search([secret])
    for where, text in {
        "plain": f"key={secret}",
        "without its tail": secret[:-4],
        "base64": base64.b64encode(f"user:{secret}".encode()).decode(),
        "quoted": quote(f"a&b={secret}", safe=""),
        "hashed": hashlib.sha256(secret.encode()).hexdigest(),
        "bytes": b"\xff" + secret.encode(),
    }.items():
        search.look(where, text)
    assert len(search.found) == 6
    search.look("its tail", "ends in 7Q4Z")
    assert len(search.found) == 6


def printed(outside, *command: str) -> str:
    """Return what a command prints, also one that finds something wrong."""
    try:
        return outside.run(*command)
    except AssertionError as error:
        return str(error)


def connect(outside, owner: Visitor, sandbox) -> None:
    """Each provider: a refusal, an answer that echoes everything, a wrong key, the right one, and a new one that is refused."""
    merchant = outside.ask("print(json.dumps(Merchant.objects.get().pk))")
    for slug, values in VALUES.items():
        configured = owner.post(f"{LIST}configure/", {"merchant": merchant, "provider": slug}, page=HOME)
        path = configured.url.removeprefix(owner.base)
        echo = json.dumps({"error": "no", "echo": {**WRONG[slug], **KEYS[slug]}})
        sandbox.fault(slug, "status", status=401, body=echo, times=1, process=False)
        for keys in (WRONG[slug], WRONG[slug], KEYS[slug]):
            owner.post(path, {**values, **keys, "_initialize": "1"})
            wait_for(lambda slug=slug: outside.ask(STATE.format(slug))[1] != "initializing", 30, f"the check of {slug}")
        sandbox.clear_faults(slug)
        state = outside.ask(STATE.format(slug))
        assert state[1] == "active", (slug, state)
        sandbox.fault(slug, "status", status=503, body=echo, times=1)
        owner.post(path, {**values, **WRONG[slug]})
        wait_for(lambda slug=slug: outside.ask(STATE.format(slug))[1] != "initializing", 30, f"the second check of {slug}")
        sandbox.clear_faults(slug)


def doors(outside, base: str, owner: Visitor, search: Search) -> None:
    """Secrets for both doors, and requests with right and wrong ones."""
    owner.post("/admin/loyalty/webhookreceipt/door/", {"verb": "secret", "secret": NECTOR})
    token = outside.ask("print(json.dumps(Merchant.objects.get().nector_webhook_token))")
    raw = json.dumps(
        {"_id": "t1", "amount": "5", "operation": "cr", "customer": {"id": "c1", "email": "asha@example.com"}}
    ).encode()
    for secret in (NECTOR, NECTOR + "x"):
        headers = {
            "x-nector-topic": "walletreward_create",
            "x-nector-delivery-id": secret[-2:],
            "x-nector-webhook-secret": hashlib.sha256(secret.encode()).hexdigest(),
            "x-nector-webhook-hmac": hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest(),
            "Content-Type": "application/json",
        }
        answer = requests.post(f"{base}/webhooks/nector/{token}/", data=raw, headers=headers, timeout=10)
        search.look("the answer to a webhook", answer.text)
    for pk, provider, token in outside.ask(
        "print(json.dumps(list(Integration.objects.values_list('pk', 'provider', 'callback_token'))))"
    ):
        owner.post(f"/admin/events/eventdefinition/coming-back/{pk}/", {"verb": "auth", "auth": CALLBACK})
        for auth in (("user", CALLBACK), None):
            shown = {"Authorization": f"Bearer {CALLBACK}"} if auth is None else {}
            answer = requests.post(
                f"{base}/callbacks/{provider}/{token}/", json={"event": "open"}, auth=auth, headers=shown, timeout=10
            )
            search.look("the answer to a callback", answer.text)
    stored = outside.ask("print(json.dumps(Integration.objects.filter(sealed_callback_auth__isnull=False).count()))")
    assert stored == len(VALUES)


def enrol(viewer: Visitor, search: Search) -> None:
    """A second factor: its key and recovery codes are shown while it is set up, and nowhere from then on."""
    path = "/admin/second-factor/"
    text = viewer.post(path, {"verb": "begin"}).text.partition('font-mono mb-4 nb-break">')[2].partition("<")[0].replace(" ", "")
    key = base64.b32decode(text)
    clock = TOTP(key)
    clock.time = time.time()
    page = viewer.post(path, {"verb": "confirm", "code": f"{clock.token():06d}"}).text
    codes = re.findall(r"<li>([0-9a-f-]{19})</li>", page)
    assert len(codes) == 10
    search.add([text, key.hex(), *codes, *(code.replace("-", "") for code in codes)])


def deliver(outside, owner: Visitor, sandbox) -> None:
    """A test event, deliveries, answers that echo the key, a refusal, and a replay."""
    ref = outside.ask("print(json.dumps(Customer.objects.get(customer_id='c1').ref))")
    for pk in outside.ask(EVENTS):
        path = f"/admin/events/eventdefinition/{pk}/test/"
        owner.get(f"{path}?customer={ref}")
        post = owner.post(f"{path}?customer={ref}", {"customer": ref})
        assert post.status_code == 200
    for slug in VALUES:
        keys = list(KEYS[slug].values())
        echo = json.dumps({"status": "failed", "error": f"key {keys}", "message": keys[0]})
        for status in (503, 400):
            sandbox.fault(slug, "status", status=status, body=echo, times=1)
        sandbox.fault(slug, "drop_after_accept", times=1)
    for _turn in range(4):
        outside.ask(CREDIT)
    wait_for(lambda: not {"queued", "sending", "retrying"} & set(outside.ask(STATES)), 90, "all to be settled")
    for slug in VALUES:
        sandbox.clear_faults(slug)
    (pk, *_others) = outside.ask(SENT)
    owner.post(f"/admin/events/eventdelivery/{pk}/replay/", {"confirmed": "1", "token": "t"})
    for slug in VALUES:
        sandbox.fault(slug, "status", status=401, body=json.dumps({"error": list(KEYS[slug].values())}))
    outside.ask(CREDIT)
    wait_for(lambda: outside.ask(STATUSES).count("attention") == len(VALUES), 60, "all to need attention")


def look_at_files(folder: Path, search: Search) -> None:
    """Logs, mails, and everything else that the processes left, the database's file as it lies there included."""
    for path in folder.rglob("*"):
        if path.is_file() and "static" not in path.parts:
            search.look(f"the file {path.relative_to(folder)}", path.read_bytes())


def look_at_the_database(path: Path, sealed: set[tuple[str, str]], search: Search) -> None:
    """Every column of every table; the sealed ones hold ciphertext."""
    with sqlite3.connect(path) as connection:
        for table, column, values in columns(connection):
            if (table, column) in sealed:
                assert all(value.startswith("gAAAA") for value in values), (table, column)
            search.look(f"{table}.{column}", "\n".join(values))
