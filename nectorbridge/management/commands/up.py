"""`manage.py up`: everything in one terminal."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, connections

from events.chores import in_one_line
from nectorbridge.processes.fleet import CannotStartError, Fleet, Member
from nectorbridge.processes.preparation import Administrator, NotReadyError, check_port, ensure_administrator, migrate
from nectorbridge.processes.stopping import StopRequests

LOOPBACK = "127.0.0.1"
WORKER_GRACE_SECONDS = 6
STOP_SECONDS = 8.0  # more than any child's own grace
READY_SECONDS = 30.0
TICK_SECONDS = 0.1
ANY_ADDRESS = ("0.0.0.0", "::", "[::]")  # noqa: S104 - compared with, not bound


class Command(BaseCommand):
    """Start the web server and the workers, and everything that a first look needs."""

    help = "Runs Nectorbridge in this terminal: web server and workers; with --demo a playground as well. Ctrl-C stops all of it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--demo", action="store_true", help="add a demo merchant, a provider sandbox and live activity")
        parser.add_argument("--host", default=LOOPBACK, help=f"address to listen on (default: {LOOPBACK})")
        parser.add_argument("--port", type=int, default=8000, help="port of the web server (default: 8000)")
        parser.add_argument("--sandbox-port", type=int, default=8077, help="port of the provider sandbox (default: 8077)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, start, watch, stop."""
        host, port, sandbox_port = options["host"], options["port"], options["sandbox_port"]
        url = f"http://{LOOPBACK if host in ANY_ADDRESS else host}:{port}"
        try:
            check_port(host, port)
            if options["demo"]:
                check_port(LOOPBACK, sandbox_port, "--sandbox-port")
            administrator = self._prepare()
            point_links_here(url)
            if options["demo"]:
                self._seed(sandbox_port)
        except NotReadyError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped before anything was started.") from None
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used. {in_one_line(error)}") from None
        connections.close_all()
        fleet = Fleet(members(host, port, sandbox_port if options["demo"] else None), StopRequests())
        self._run(fleet, url, administrator, options)

    def _prepare(self) -> Administrator:
        applied = migrate()
        if applied:
            self._say(f"Database prepared ({applied} migrations applied).")
        if not settings.DEBUG:
            call_command("collectstatic", interactive=False, verbosity=0)
        administrator = ensure_administrator()
        if administrator.new_password:
            self._say(f"\n  Administrator: {administrator.username}    Password: {administrator.new_password}")
            self._say("  The password is shown only now; keep it.")
        return administrator

    def _seed(self, sandbox_port: int) -> None:
        point_providers_here(sandbox_port)
        self._say("Preparing the demo merchant ...")
        call_command("demo", "--seed-only")

    def _run(self, fleet: Fleet, url: str, administrator: Administrator, options: dict[str, Any]) -> None:
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        os.environ.setdefault("LOG_FORMAT", "text")  # a person reads along
        try:
            if self._wait_until_ready(fleet, options["host"], options["port"]):
                self._welcome(url, administrator, options)
            fleet.run()
        except CannotStartError as error:
            raise CommandError(str(error)) from None
        finally:
            self._say("Stopping ...")
            fleet.end(STOP_SECONDS)
        self._say("Everything has stopped.")

    def _wait_until_ready(self, fleet: Fleet, host: str, port: int) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while not fleet.requests.is_wanted:
            fleet.look()
            if answers(LOOPBACK if host in ANY_ADDRESS else host.strip("[]"), port) or time.monotonic() > deadline:
                return True
            time.sleep(TICK_SECONDS)
        return False

    def _welcome(self, url: str, administrator: Administrator, options: dict[str, Any]) -> None:
        name = administrator.username
        if administrator.new_password:
            hint = "the password above"
        elif administrator.is_new:
            hint = "the password in ADMIN_PASSWORD"
        else:
            hint = f"password as printed at the first start; reset: manage.py changepassword {name}"
        self._say("\nNectorbridge is running.")
        self._say(f"  Open      {url}/admin/")
        self._say(f"  Log in    {name} ({hint})")
        if options["demo"]:
            self._say(f"  Sandbox   http://{LOOPBACK}:{options['sandbox_port']}/ (what the providers received)")
        self._say("\n  Ctrl-C stops everything.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def members(host: str, port: int, sandbox_port: int | None) -> list[Member]:
    """Return the processes that make up an installation on one machine; with a sandbox port, those of the demo too."""
    workers = 1 if connection.vendor == "sqlite" else 2
    web = ["gunicorn", "nectorbridge.wsgi:application", "--bind", f"{host}:{port}", "--workers", str(workers), "--threads", "8"]
    quiet = ["--no-control-socket", "--log-level", "warning", "--graceful-timeout", "3"]
    quiet += ["--logger-class", "nectorbridge.web_log.WebServerLog"]
    fleet = [
        Member("web server", [*web, *quiet]),
        Member("task cluster", ["manage", "worker", "--grace", str(WORKER_GRACE_SECONDS)]),
    ]
    if sandbox_port is not None:
        fleet += [
            Member("provider sandbox", ["manage", "sandbox", "--port", str(sandbox_port)]),
            Member("demo activity", ["manage", "demo"], is_essential=False),
        ]
    return fleet


def point_links_here(url: str) -> None:
    """Have tracked links lead to this server unless PUBLIC_URL says otherwise, in this process and its children."""
    settings.PUBLIC_URL = os.environ.setdefault("PUBLIC_URL", url).rstrip("/")


def point_providers_here(sandbox_port: int) -> None:
    """Send every provider's calls to the sandbox, save those whose base URL is set already, here and in the children."""
    for slug, base in settings.PROVIDER_BASE_URLS.items():
        sandbox = base or f"http://{LOOPBACK}:{sandbox_port}/{slug}"
        settings.PROVIDER_BASE_URLS[slug] = os.environ[f"{slug.upper()}_BASE_URL"] = sandbox


def answers(host: str, port: int) -> bool:
    """Return whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
