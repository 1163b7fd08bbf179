"""`manage.py audit`: asks pip-audit what is known against the locked packages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from nectorbridge.supply import judge

LONGEST_SECONDS = 180


class Command(BaseCommand):
    """Exits with 1 if something is known against a package; says so where nothing could be asked, and exits with 0 then."""

    help = "Look the locked packages up in the database of known vulnerabilities. Needs the network, and `pip install pip-audit`."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, and report."""
        tool = shutil.which("pip-audit")
        if tool is None:
            self.stdout.write("Skipped: pip-audit is not installed (pip install pip-audit).")
            return
        command = [tool, "--requirement", "requirements-dev.lock", "--require-hashes", "--disable-pip", "--format", "json"]
        command += ["--progress-spinner", "off"]
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                command, cwd=Path(settings.BASE_DIR), capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            self.stdout.write(f"Skipped: no answer within {LONGEST_SECONDS} seconds.")
            return
        audit = judge(done.stdout)
        if audit is None or not audit.looked_up:
            why = "it finds none of the packages" if audit else next(iter(done.stderr.strip().splitlines()[-1:]), "no answer")
            self.stdout.write(f"Skipped: the database of vulnerabilities cannot be asked from here ({why}).")
            return
        if audit.left_out:
            self.stdout.write(f"{audit.left_out} packages could not be looked up.")
        for line in audit.known:
            self.stdout.write(self.style.ERROR(line))
        if audit.known:
            raise SystemExit(1)
        self.stdout.write(f"Nothing is known against {audit.looked_up} packages.")
