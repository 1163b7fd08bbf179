"""What one examination of `manage.py doctor` found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One part's state in words. Something that is well and yet has a `fix` is a note: worth doing, and nothing is broken."""

    part: str
    ok: bool
    says: str
    fix: str = ""

    @property
    def state(self) -> str:
        """Return `ok`, `note` or `wrong`."""
        if not self.ok:
            return "wrong"
        return "note" if self.fix else "ok"
