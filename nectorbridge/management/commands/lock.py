"""`manage.py lock`: writes the lock files from the requirements, with every package beneath and the hash of every file of it."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

OLDEST_PYTHON = "3.11"
NAMES = ("requirements", "requirements-dev")


class Command(BaseCommand):
    """Has uv resolve the requirements for all platforms and Python versions at once. Needs the network, and `pip install uv`."""

    help = "Write requirements.lock and requirements-dev.lock; what is locked already stays unless --upgrade is given."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the requirements allow")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write both files."""
        uv = shutil.which("uv")
        if uv is None:
            raise CommandError("uv is not installed; run: pip install uv")
        certificates = {"SSL_CERT_FILE": ssl.get_default_verify_paths().cafile or ""}
        environment = {name: value for name, value in certificates.items() if value} | dict(os.environ)
        for name in NAMES:
            command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
            command += ["--no-annotate", "--no-header", f"{name}.txt", "--output-file", f"{name}.lock"]
            command += ["--upgrade"] if options["upgrade"] else []
            if subprocess.call(command, cwd=Path(settings.BASE_DIR), env=environment) != 0:  # noqa: S603 - our own command
                raise CommandError(f"uv could not resolve {name}.txt; its own message is above.")
            self.stdout.write(f"{name}.lock is written.")
