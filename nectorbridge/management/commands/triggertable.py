"""`manage.py triggertable`: writes the page of triggers from the catalogue."""

from __future__ import annotations

from pathlib import Path

from nectorbridge.management.written_page import WrittenPage
from nectorbridge.triggertable import PATH, render


class Command(WrittenPage):
    """Writes the page, or says that it is out of date."""

    help = "Write docs/triggers.md from the catalogue of triggers."
    name = "docs/triggers.md"

    def page(self) -> tuple[Path, str]:
        """Return the page."""
        return PATH, render()
