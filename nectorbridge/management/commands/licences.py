"""`manage.py licences`: writes the page of licences from the lock files."""

from __future__ import annotations

from pathlib import Path

from nectorbridge import supply
from nectorbridge.management.written_page import WrittenPage


class Command(WrittenPage):
    """Writes the page, or says that it is out of date."""

    help = "Write docs/licences.md from the lock files and what the installed packages say of themselves."
    name = "docs/licences.md"

    def page(self) -> tuple[Path, str]:
        """Return the page."""
        return supply.PAGE, supply.licences_page()
