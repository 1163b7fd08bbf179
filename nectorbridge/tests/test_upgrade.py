"""Upgrade by the commands of docs/upgrade.md: a database of an earlier version, with rows in it, and the product comes up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import requests

from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import documented
from nectorbridge.testing import installation as kit
from nectorbridge.testing.installation import wait_for
from nectorbridge.testing.parts import free_port, is_ready

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]
# Before roles, the audit trail, invitations, second factors, holdouts' elsewhere, and the data that came with them.
EARLIER = {
    "integrations": "0010_callback_auth",
    "events": "0017_elsewhere",
    "loyalty": "0008_personal_data",
    "nectorbridge": None,
}
# By the models as they were: today's would ask for columns that are not there yet.
ROWS = f"""
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from integrations.secrets import bind

executor = MigrationExecutor(connection)
executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] not in {EARLIER!r}]
                 + [node for node in {list(EARLIER.items())!r} if node[1]])
executor = MigrationExecutor(connection)
then = executor.loader.project_state(list(executor.loader.applied_migrations)).apps
made = lambda label, **values: then.get_model(label).objects.create(**values)

owner = made("auth.User", username="meera", is_staff=True, is_active=True)
root = made("auth.User", username="root", is_staff=True, is_active=True, is_superuser=True)
merchant = made("integrations.Merchant", name="Acme", slug="acme", website="https://acme.example", nector_webhook_token="t" * 9)
made("integrations.Membership", merchant=merchant, user=owner, role="owner")
row = made("integrations.Integration", merchant=merchant, provider="clevertap", status="active", enabled=True,
           settings={{"account_id": "TEST-1", "server_prefix": "in1"}}, initialized_at=timezone.now())
row.sealed_secrets = bind({{"private_api_key": "CANARY-PASSCODE-42"}}, merchant.pk, str(row.uid))
row.save()
event = made("events.EventDefinition", integration=row, trigger="walletreward_create", name="Wallet Coins Rewarded")
for number in range(3):
    customer = made("loyalty.Customer", merchant=merchant, customer_id=f"c{{number}}", email=f"c{{number}}@example.com", name="N")
    wallet = made("loyalty.Wallet", customer=customer, balance=50)
    made("loyalty.WalletTransaction", wallet=wallet, operation="cr", amount=50, remaining=50, title="Order")
    person = {{"customer_id": f"c{{number}}", "email": customer.email, "phone": "", "name": "N"}}
    made("events.EventDelivery", definition=event, integration=row, merchant=merchant, trigger=event.trigger,
         event_name=event.name, customer_ref=str(customer.pk), recipient=person, payload={{"coins": 50}},
         idempotency_key=f"old:{{number}}", occurred_at=timezone.now(), next_attempt_at=timezone.now(),
         status="sent" if number == 0 else "queued")
print(json.dumps(MigrationRecorder(connection).migration_qs.count()))
"""
HERE = """
print(json.dumps({
    "merchant": list(Merchant.objects.values_list("name", "slug")),
    "role": list(Membership.objects.values_list("user__username", "role")),
    "secret": Integration.objects.get().secrets["private_api_key"] == "CANARY-PASSCODE-42",
    "customers": Customer.objects.count(),
    "coins": sum(Wallet.objects.values_list("balance", flat=True)),
    "old": sorted(EventDelivery.objects.filter(idempotency_key__startswith="old:").values_list("status", flat=True)),
}))
"""
EARN = "services.credit(Customer.objects.order_by('pk')[0], 10, 'Order')\nprint('1')"
MAY = """
from django.contrib.auth.models import User
from integrations.roles import keys_with
print(json.dumps(keys_with(User.objects.get(username="meera"), "events.view_eventdelivery") == [Merchant.objects.get().pk]))
"""
SAME = {"merchant": [["Acme", "acme"]], "role": [["meera", "owner"]], "secret": True, "customers": 3}


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def place(store, sandbox, tmp_path):
    """An installation whose database is empty: not even migrated."""
    with kit.unmigrated(store, tmp_path, CLEVERTAP_BASE_URL=sandbox.url_of("clevertap")) as outside:
        yield outside


@pytest.fixture
def machine(place, tmp_path):
    """What the page takes for granted: a folder for units, and a `systemctl` that starts and stops what they say."""
    tools, units, port = tmp_path / "tools", tmp_path / "units", free_port()
    tools.mkdir()
    units.mkdir()
    for unit in (PROJECT_DIR / "docs" / "systemd").glob("*.service"):
        (units / unit.name).write_text(unit.read_text().replace("--grace 25", "--grace 20"))  # the former version's
    systemctl = tools / "systemctl"
    systemctl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nectorbridge.testing.units "$@"\n')
    systemctl.chmod(0o755)
    place.environment |= {
        "PATH": f"{tools}{os.pathsep}{place.environment['PATH']}",
        "UNITS_DIR": str(units),
        "UNITS_RUN_DIR": str(tmp_path),
        "UNITS_WEB_PORT": str(port),
    }
    yield port
    for name in ("web", "worker"):
        subprocess.run([systemctl, "stop", f"nectorbridge-{name}"], cwd=PROJECT_DIR, env=place.environment, check=True)


def test_an_earlier_database_is_upgraded_by_the_documented_commands(place, machine, sandbox, tmp_path):
    before = place.ask(ROWS)
    place.close()
    assert "integrations.0011_roles" in documented.run("upgrade.md", "plan", place)

    units = place.environment["UNITS_DIR"]
    said = documented.run("upgrade.md", "one machine", place, {"/etc/systemd/system/": f"{units}/"})

    assert "Applying integrations.0011_roles... OK" in said and "static files copied" in said and "wrong" not in said
    assert "--grace 25" in (tmp_path / "units" / "nectorbridge-worker.service").read_text(), (
        "the new version brings its own units"
    )
    assert "No planned migration operations" in documented.run("upgrade.md", "plan", place)
    assert (
        place.ask("from django.db.migrations.recorder import MigrationRecorder as M\nprint(M.Migration.objects.count())") > before
    )
    assert is_ready(machine), "web server and worker are up"
    login = requests.get(f"http://127.0.0.1:{machine}/admin/login/", timeout=20)
    assert login.status_code == 200 and "Nectorbridge" in login.text
    wait_for(lambda: place.ask(HERE)["old"] == ["sent"] * 3, 40, "what waited before the upgrade is sent")
    assert place.ask(HERE) == {**SAME, "coins": 150, "old": ["sent"] * 3}
    assert place.ask(MAY), "who was an owner may do what an owner may do"
    place.ask(EARN)
    wait_for(lambda: len(sandbox.deliveries("clevertap")) == 3, 40, "and what happens from now on, too")
    assert set(sandbox.deliveries("clevertap").values()) == {1}
