"""References: a customer is known to the outbox, and a row to its activities' keys, by a primary key as text."""

from __future__ import annotations

LARGEST_KEY = 2**63 - 1
MOST_DIGITS = 19


def key_of(text: object) -> int:
    """Return the primary key that a reference names; 0, which no row has, for one that names nothing."""
    said = str(text)
    is_number = said.isascii() and said.isdigit() and len(said) <= MOST_DIGITS
    return int(said) if is_number and int(said) <= LARGEST_KEY else 0
