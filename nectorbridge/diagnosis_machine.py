"""The doctor's examinations of what the installation stands on: settings, database, disk, clock, task queue, mail, metrics."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from events.models import Tally
from nectorbridge.finding import Finding
from nectorbridge.health import OK, readiness
from nectorbridge.metrics import is_loopback
from nectorbridge.models import SecondFactor

OLDEST_SQLITE = (3, 35, 0)  # RETURNING
LEAST_FREE_BYTES = 500_000_000
MOST_SKEW = timedelta(seconds=2)  # leases and the sweep's grace are about that exact
LONGEST_REPLY = 0.5  # seconds; above that a comparison of clocks says nothing
SILENT_MAIL = ("console", "dummy", "locmem")  # backends that reach nobody


def settings_are_sound() -> Iterator[Finding]:
    """Run Django's checks, and the project's own."""
    problems = [problem for problem in run_checks() if problem.is_serious()]
    yield from (Finding("settings", False, problem.msg, problem.hint or "") for problem in problems)
    if not problems:
        version = ".".join(map(str, sys.version_info[:3]))
        yield Finding("settings", True, f"Python {version}, DEBUG {'on' if settings.DEBUG else 'off'}")


def database() -> Finding:
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


def writing() -> Finding:
    """Write a row and take it back."""
    try:
        with transaction.atomic():
            Tally.objects.create(kind="doctor", amount=0)
            transaction.set_rollback(True)
    except DatabaseError:
        fix = "Look whether the disk is full, the file may be written by this user, and DATABASE_URL names no read-only copy."
        return Finding("writing", False, "the database takes no rows", fix)
    return Finding("writing", True, "the database takes rows")


def migrations() -> Finding:
    """Look for migrations that were not applied."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return Finding("migrations", False, f"{len(waiting)} not applied", "Run: manage.py migrate")
    return Finding("migrations", True, "all applied")


def clock() -> Finding:
    """Compare this machine's clock with the database's: leases of several machines are counted by both."""
    if connection.vendor != "postgresql":
        return Finding("clock", True, "one machine, one clock")
    asked = datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        theirs: datetime = cursor.fetchone()[0]
    answered = datetime.now(UTC)
    skew = theirs - (asked + (answered - asked) / 2)
    if (answered - asked).total_seconds() > LONGEST_REPLY:
        return Finding("clock", True, "the database answers too slowly to compare clocks", "Look at the database's load.")
    if abs(skew) > MOST_SKEW:
        says = f"this machine is {abs(skew).total_seconds():.1f} s {'behind' if skew > timedelta() else 'ahead of'} the database"
        return Finding("clock", False, says, "Set both by NTP: a lease that one of them sees end too early is sent twice.")
    return Finding("clock", True, f"{abs(skew).total_seconds() * 1000:.0f} ms from the database's")


def disk() -> Finding:
    """Look for room where SQLite's file is, or where the data folder is."""
    name = str(connection.settings_dict["NAME"])
    is_file = connection.vendor == "sqlite" and Path(name).exists()
    folder = Path(name).resolve().parent if is_file else Path(settings.DATA_DIR)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return Finding("disk", False, f"{free // 1_000_000} MB are left in {folder}", "Make room: a full disk stops everything.")
    return Finding("disk", True, f"{free / 1_000_000_000:.1f} GB are left")


def task_queue() -> Finding:
    """Reach what hands tasks to the workers."""
    what = "Redis" if settings.REDIS_URL else "the database's table"
    if readiness()["queue"] == OK:
        return Finding("task queue", True, f"{what} answers")
    fix = "Start it, and check REDIS_URL. Nothing is lost: what is due goes out when it is back."
    return Finding("task queue", False, f"{what} cannot be reached", fix)


def mail() -> Finding:
    """Look whether people can be told that an integration needs them."""
    backend = str(settings.EMAIL_BACKEND).rpartition(".")[0].rpartition(".")[2]
    if backend not in SILENT_MAIL and (backend != "smtp" or _has_server()):
        return Finding("mail", True, f"is sent by {settings.EMAIL_HOST if backend == 'smtp' else backend}")
    fix = "" if settings.DEBUG else "Set EMAIL_URL: then who must act is told, also when nobody looks at the dashboard."
    return Finding("mail", True, "none is sent", fix)


def _has_server() -> bool:
    """Tell whether a mail server was named: Django's own default is a port of this machine on which nobody listens."""
    return settings.EMAIL_HOST != "localhost" or bool(settings.EMAIL_HOST_USER) or settings.EMAIL_PORT != 25


def metrics() -> Finding:
    """Look who may read the metrics."""
    if settings.METRICS_TOKEN:
        return Finding("metrics", True, "for whoever holds METRICS_TOKEN")
    fix = "" if settings.DEBUG else "Set METRICS_TOKEN if Prometheus asks from another machine or through a proxy."
    return Finding("metrics", True, "for this machine alone", fix)


def administrators() -> Finding:
    """Look whether administrators, who see every merchant, show more than a password."""
    people = get_user_model().objects.filter(is_superuser=True, is_active=True)
    number = people.count()
    alone = people.exclude(pk__in=SecondFactor.objects.filter(confirmed=True).values("user")).count()
    if settings.SECOND_FACTOR_FOR_ADMINISTRATORS:
        return Finding("administrators", True, f"{number}, each with a second factor or asked to set it up")
    says = f"{number}, of whom {alone} log in with a password alone"
    fix = "" if settings.DEBUG else "Set SECOND_FACTOR_FOR_ADMINISTRATORS=true: they see every merchant."
    return Finding("administrators", True, says, fix)


def links() -> Finding:
    """Look where the tracked links in messages lead."""
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if settings.DEBUG or not (host == "localhost" or is_loopback(host)):
        return Finding("links", True, f"lead to {settings.PUBLIC_URL}")
    fix = "Set PUBLIC_URL to the address that your customers reach, or opens and clicks never come back."
    return Finding("links", True, f"lead to {settings.PUBLIC_URL}, which is this machine alone", fix)
