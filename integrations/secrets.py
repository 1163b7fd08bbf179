"""An integration's credentials as text for the vault: bound to their row, masked wherever they are shown."""

from __future__ import annotations

import json
from typing import Any

from integrations.fields import Sealed, SecretUnreadable

SHOWN_TAIL = 4
SHORTEST_WITH_TAIL = 9  # a shorter secret would give away too much of itself
MASK = "••••"


class Secrets(dict[str, str]):
    """Plain credentials by field name. Printing one shows masks, so that a log line or a traceback cannot leak them."""

    def __repr__(self) -> str:
        """Show names and masks only."""
        return f"Secrets({ {name: mask(value) for name, value in self.items()} })"

    __str__ = __repr__


def mask(value: str) -> str:
    """Return the secret as it may be shown: dots, and its last four characters if it is long enough."""
    return MASK + (value[-SHOWN_TAIL:] if len(value) >= SHORTEST_WITH_TAIL else "") if value else ""


def bind(values: dict[str, Any], merchant: int | None, integration: str) -> str:
    """Return the text to encrypt. Fernet has no associated data, so the row's identity goes inside."""
    clean = {str(name): str(value) for name, value in values.items() if value not in (None, "")}
    return json.dumps({"merchant": merchant, "integration": integration, "values": clean}, separators=(",", ":"))


def unbind(stored: str | Sealed | None, merchant: int | None, integration: str) -> Secrets:
    """Return the credentials of this very row. Raises SecretUnreadable for a wrong key or another row's ciphertext."""
    if not stored:
        return Secrets()
    try:
        text = stored.open() if isinstance(stored, Sealed) else stored
        bound = json.loads(text)
        mine = (bound["merchant"], bound["integration"]) == (merchant, integration)
        values = Secrets(bound["values"])
    except (ValueError, KeyError, TypeError):
        raise SecretUnreadable("The stored credentials are damaged.") from None
    if not mine:
        raise SecretUnreadable("The stored credentials belong to another integration.")
    return values


def check_binding(sealed: Sealed, row: Any) -> None:
    """Read a stored secret of any kind, and look whether it is this row's; the text is thrown away. Raises SecretUnreadable.

    Rows with a `uid` bind what they seal (see `bind`); of others it is only looked whether a key fits.
    """
    text, uid = sealed.open(), getattr(row, "uid", None)
    if uid is None:
        return
    try:
        bound = json.loads(text)
        mine = (bound["merchant"], bound["integration"]) == (getattr(row, "merchant_id", None), str(uid))
    except (ValueError, KeyError, TypeError):
        raise SecretUnreadable("It is damaged.") from None
    if not mine:
        raise SecretUnreadable("It belongs to another row.")


def is_readable(row: Any, name: str) -> bool:
    """Tell whether what a row has sealed in this column, if anything, can be read."""
    sealed = getattr(row, name)
    if not isinstance(sealed, Sealed):
        return True
    try:
        check_binding(sealed, row)
    except SecretUnreadable:
        return False
    return True
