"""`manage.py sandbox`: the engagement providers on loopback, for people, demonstrations and benchmarks."""

from __future__ import annotations

import errno
import gc
import signal
import sys
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from nectorbridge.sandbox.sandbox import HOST, PORT, Sandbox

LATENCY_MAX_SECONDS = 60.0
STOPPING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """Runs the sandbox in the foreground until it is told to stop. Uses no database."""

    help = "Engagement providers on loopback: strict about their contracts, faults on demand, a page of what arrived."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--host", default=HOST, help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=PORT, help="port to listen on; 0: any free one (default: %(default)s)")
        parser.add_argument("--latency", type=float, default=0.0, help="seconds that every provider answer takes at least")
        parser.add_argument(
            "--discard", action="append", default=[], metavar="NAME", help="treat this event name as discarded in the dashboard"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Listen, say where, wait for a signal, stop."""
        if not 0 <= options["latency"] <= LATENCY_MAX_SECONDS:
            raise CommandError(_("--latency takes 0 to %(limit)d seconds") % {"limit": LATENCY_MAX_SECONDS})
        sandbox = self._listening(options)
        stop = threading.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            stop.set()

        before = {number: signal.signal(number, on_signal) for number in STOPPING_SIGNALS}
        gc.freeze()  # spares benchmarks the pauses in which the collector would walk through all of Django
        sandbox.start()
        try:
            self.stdout.write(_("Provider sandbox on %(url)s/ (Ctrl-C stops it)") % {"url": sandbox.url})
            self.stdout.flush()
            stop.wait()
        finally:
            sandbox.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _listening(self, options: dict[str, Any]) -> Sandbox:
        """Return a sandbox that has its port, or end with one line that says why not."""
        host, port = options["host"], options["port"]
        try:
            return Sandbox(host, port, latency=options["latency"], discarded=options["discard"])
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                line = _("Port %(port)d is in use; stop the other process or pass --port") % {"port": port}
            else:
                line = _("Can't listen on %(host)s, port %(port)d: %(why)s") % {"host": host, "port": port, "why": error.strerror}
        except OverflowError:
            line = _("%(port)d is no port; pass one from 0 to 65535") % {"port": port}
        self.stderr.write(line)
        sys.exit(1)
