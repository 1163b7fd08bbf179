"""The examinations behind `manage.py doctor`: each returns what it found, in words, and what to do about it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.checks import run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from events.models import EventDelivery, Worker
from events.sql import IS_DUE
from events.states import State
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Status
from nectorbridge.loyalty import ledger

OLDEST_SQLITE = (3, 35, 0)  # RETURNING
CANARY_SECONDS = 30
LONGEST_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one examination found."""

    part: str
    ok: bool
    says: str
    fix: str = ""


def diagnose() -> list[Finding]:
    """Examine every part. A database that cannot be reached ends the examination there."""
    findings = [*_settings(), _database()]
    if not findings[-1].ok:
        return findings
    findings.append(_migrations())
    if findings[-1].ok:
        findings += [examine() for examine in EXAMINATIONS]
    return findings


def _settings() -> Iterator[Finding]:
    """Run Django's checks, and the project's own."""
    problems = [problem for problem in run_checks() if problem.is_serious()]
    yield from (Finding("settings", False, problem.msg, problem.hint or "") for problem in problems)
    if not problems:
        version = ".".join(map(str, sys.version_info[:3]))
        yield Finding("settings", True, f"Python {version}, DEBUG {'on' if settings.DEBUG else 'off'}")


def _database() -> Finding:
    """Reach the database."""
    if connection.vendor == "sqlite" and sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Finding(
            "database", False, f"SQLite {sqlite3.sqlite_version} is too old", "Use SQLite 3.35 or newer, or PostgreSQL."
        )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Finding("database", False, "it does not answer", "Start it, and check DATABASE_URL.")
    return Finding("database", True, connection.display_name)


def _migrations() -> Finding:
    """Look for migrations that were not applied."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return Finding("migrations", False, f"{len(waiting)} not applied", "Run: manage.py migrate")
    return Finding("migrations", True, "all applied")


def _worker() -> Finding:
    """Look for a task cluster that ran its canary lately."""
    alive = Worker.objects.filter(canary_at__gte=timezone.now() - timedelta(seconds=CANARY_SECONDS)).count()
    if not alive:
        return Finding("worker", False, "none is alive; nothing is being sent", "Start one: manage.py worker (or manage.py up)")
    return Finding("worker", True, f"{alive} alive")


def _secrets() -> Finding:
    """Read every stored credential."""
    unreadable = []
    for integration in Integration.objects.select_related("merchant"):
        try:
            integration.secrets  # noqa: B018 - reading decrypts
        except SecretUnreadable:
            unreadable.append(str(integration))
    if unreadable:
        fix = "Put the former key back into FERNET_KEYS, or enter the credentials again."
        return Finding("credentials", False, f"cannot be read for {', '.join(unreadable)}", fix)
    return Finding("credentials", True, "all can be read")


def _integrations() -> Finding:
    """Look for integrations that wait for a person."""
    waiting = Integration.objects.filter(status=Status.ATTENTION).select_related("merchant")
    says = "; ".join(f"{integration}: {integration.status_reason}" for integration in waiting)
    if says:
        return Finding("integrations", False, says, "Open the set-up page of each, mend what it says, and initialize.")
    return Finding(
        "integrations", True, f"{Integration.objects.filter(status=Status.ACTIVE).count()} active, none needs attention"
    )


def _queue() -> Finding:
    """Look at what has been due for too long."""
    now = timezone.now()
    able = EventDelivery.objects.filter(integration__status=Status.ACTIVE, integration__enabled=True)
    late = able.filter(IS_DUE, next_attempt_at__lt=now - LONGEST_WAIT)[:1000].count()
    stuck = EventDelivery.objects.filter(status=State.SENDING, lease_until__lt=now - LONGEST_WAIT)[:1000].count()
    if late or stuck:
        says = f"{late or stuck} deliveries have been due for more than {LONGEST_WAIT.seconds // 60} minutes"
        return Finding("queue", False, says, "Look at the worker's log; start another worker if this one cannot keep up.")
    return Finding("queue", True, "nothing is late")


def _ledger() -> Finding:
    """Compare every balance with its transactions."""
    wrong = ledger.unbalanced().count()
    if wrong:
        return Finding("ledger", False, f"{wrong} wallets do not equal their transactions", "Somebody wrote past the services.")
    return Finding("ledger", True, "every balance equals its transactions")


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (_worker, _secrets, _integrations, _queue, _ledger)
