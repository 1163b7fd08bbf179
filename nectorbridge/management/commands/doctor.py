"""`manage.py doctor`: is every part configured and alive? Says what is wrong in words, and what to do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from nectorbridge.diagnosis import diagnose


class Command(BaseCommand):
    """Prints one line per part; exits with 1 if any of them needs a person."""

    help = "Check every part of the installation; exits with 1 if something is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, and report."""
        findings = diagnose()
        for finding in findings:
            mark = self.style.SUCCESS("ok   ") if finding.ok else self.style.ERROR("wrong")
            self.stdout.write(f"{mark} {finding.part}: {finding.says}")
            if not finding.ok:
                self.stdout.write(f"      {finding.fix}")
        if not all(finding.ok for finding in findings):
            raise SystemExit(1)
