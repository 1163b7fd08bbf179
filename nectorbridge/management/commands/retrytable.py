"""`manage.py retrytable`: writes the page of retries from the table that drives them."""

from __future__ import annotations

from pathlib import Path

from nectorbridge.management.written_page import WrittenPage
from nectorbridge.retrytable import PATH, render


class Command(WrittenPage):
    """Writes the page, or says that it is out of date."""

    help = "Write docs/retries.md from the default table of steps."
    name = "docs/retries.md"

    def page(self) -> tuple[Path, str]:
        """Return the page."""
        return PATH, render()
