"""The host-project example: a Django project of its own sends its activity, by the steps that its README names."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack

import pytest

from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import wait_for

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]
EXAMPLE = PROJECT_DIR / "docs" / "host_example"
HEAD = """
import json, sys
from events.models import Contact, EventDelivery
from integrations.models import Merchant
from shop.models import Customer
from shop.services import give_points
"""
PEOPLE = """
shop = Merchant.objects.get()
for name, reads in [("asha", True), ("ravi", None), ("mira", False)]:
    customer = Customer.objects.create(merchant=shop, email=f"{name}@example.com", name=name.title(), reads_mail=reads)
    give_points(customer, 50, "Welcome")
"""


class Shop:
    """The example as its operator sees it."""

    def __init__(self, folder, base_url, **keys):
        self.folder = folder
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "SHOP_DATA_DIR": str(folder),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "FERNET_KEYS": secrets.token_urlsafe(50),
            "CLEVERTAP_ACCOUNT": "TEST-1",
            "CLEVERTAP_PASSCODE": "CANARY-PASSCODE-42",
            "CLEVERTAP_BASE_URL": base_url,
            "PYTHONDONTWRITEBYTECODE": "1",
            **keys,
        }

    def start(self, *arguments, **options):
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(command, cwd=EXAMPLE, env=self.environment, text=True, **options)

    def run(self, *arguments, given=""):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = self.start(*arguments, **pipes)
        said, complaint = process.communicate(given, timeout=120)
        assert process.returncode == 0, said + complaint
        return said

    def ask(self, code):
        return json.loads(self.run("shell", "--no-imports", "-c", HEAD + code).strip().splitlines()[-1])


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture(scope="module")
def connected(tmp_path_factory):
    """The example as its README leaves it: migrated and connected. Every test begins with a copy."""
    with Sandbox.running() as running:
        place = Shop(tmp_path_factory.mktemp("example"), running.url_of("clevertap"))
        place.run("migrate", "-v0")
        assert "Connected." in place.run("shell", given=(EXAMPLE / "connect.py").read_text())
    return place


@pytest.fixture
def shop(tmp_path, sandbox, connected):
    shutil.copytree(connected.folder, tmp_path, dirs_exist_ok=True)
    keys = {name: connected.environment[name] for name in ("SECRET_KEY", "FERNET_KEYS")}
    return Shop(tmp_path, sandbox.url_of("clevertap"), **keys)


def states(place):
    return dict(place.ask("print(json.dumps(list(EventDelivery.objects.values_list('customer_ref', 'status'))))"))


def test_a_host_of_its_own_sends_its_activity_without_the_loyalty_room(shop, sandbox):
    loaded = shop.ask(PEOPLE + "print(json.dumps([name for name in sys.modules if name.startswith('nectorbridge')]))")
    assert loaded == [], "nothing of the host project is needed"
    with ExitStack() as running:
        for command in ("qcluster", "watch"):
            process = shop.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.callback(process.wait, 30)
            running.callback(process.terminate)
        wait_for(lambda: len(sandbox.deliveries("clevertap")) == 2, 60, "both arrive")
        wait_for(lambda: "queued" not in (now := states(shop)).values() and "sending" not in now.values(), 30, "settled")
    assert states(shop) == {"1": "sent", "2": "sent", "3": "skipped"}, "who said no gets nothing, who was never asked does"
    assert set(sandbox.deliveries("clevertap").values()) == {1}
    told = {a.identity for a in sandbox.arrived("clevertap") if a.kind == "event"}
    assert told == {"1", "2"}


def test_what_is_rolled_back_is_not_recorded(shop):
    code = """
from django.db import transaction
from events import record
customer = Customer.objects.create(merchant=Merchant.objects.get(), email="a@example.com", name="A")
try:
    with transaction.atomic():
        give_points(customer, 5, "Mistake")
        raise RuntimeError
except RuntimeError:
    pass
customer.refresh_from_db()
print(json.dumps([customer.points, EventDelivery.objects.count()]))
"""
    assert shop.ask(code) == [0, 0]


def test_the_example_passes_its_checks_and_has_its_migrations(shop):
    assert "no issues" in shop.run("check")
    assert "No changes" in shop.run("makemigrations", "--check", "--dry-run")


def test_its_admin_shows_the_pages_of_the_reusable_apps(shop):
    code = """
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
browser = Client(HTTP_HOST="127.0.0.1")
browser.force_login(User.objects.create_superuser("root"), "django.contrib.auth.backends.ModelBackend")
shown = [model._meta for model in admin.site._registry if model._meta.app_label in ("integrations", "events")]
pages = [reverse(f"admin:{one.app_label}_{one.model_name}_changelist") for one in shown]
connected = Merchant.objects.get().integrations.get()
pages += [reverse("admin:index"), reverse("admin:integrations_integration_change", args=[connected.pk])]
print(json.dumps([len(pages), {page: code for page in pages if (code := browser.get(page, follow=True).status_code) != 200}]))
"""
    number, wrong = shop.ask(code)
    assert number > 8 and wrong == {}
