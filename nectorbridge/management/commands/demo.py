"""`manage.py demo`: a demo merchant, and a trickle of loyalty activity. Started by `up --demo`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from nectorbridge import demo


class Command(BaseCommand):
    """Seeds the demo merchant and then lives in it."""

    help = "Seed a demo merchant; then let loyalty activity trickle in until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--seed-only", action="store_true", help="only make sure that the demo merchant exists")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, then trickle."""
        merchant, password = demo.seed()
        if password:
            self.stdout.write(f"Demo staff of {merchant.name}: {demo.STAFF} / {password} (shown only now)")
        if not options["seed_only"]:
            demo.trickle(merchant)
