"""`manage.py featurematrix`: writes the table of what each provider can do, from the providers' modules."""

from __future__ import annotations

from pathlib import Path

from nectorbridge.management.written_page import WrittenPage
from nectorbridge.matrix import PATH, render


class Command(WrittenPage):
    """Writes the page, or says that it is out of date."""

    help = "Write docs/providers/README.md from the providers' modules."
    name = "docs/providers/README.md"

    def page(self) -> tuple[Path, str]:
        """Return the page."""
        return PATH, render()
