"""Encrypted columns. The only place where django-fernet-fields-v2 is used, and why it is not used raw.

Used raw, `bulk_update` stores the text of a SQL expression instead of the secret, and one wrong key makes every list of
the model an error page, since rows are decrypted while they load. Here a loaded value stays sealed until it is opened.
"""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from fernet_fields import EncryptedTextField


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted, or belongs to another row. Enter it again, or restore the former key."""


class Sealed:
    """An encrypted value as it came from the database. It shows nothing of itself until `open` is called."""

    def __init__(self, ciphertext: bytes, field: EncryptedTextField) -> None:
        """Keep the bytes and the field that can decrypt them."""
        self.ciphertext = ciphertext
        self._field = field

    def open(self) -> str:
        """Return the plain text. Raises SecretUnreadable where no key in FERNET_KEYS fits."""
        try:
            return self._field.fernet.decrypt(self.ciphertext).decode()
        except (InvalidToken, UnicodeDecodeError, ValueError):
            raise SecretUnreadable("No key in FERNET_KEYS reads this secret.") from None

    def read_by(self) -> int | None:
        """Return which of FERNET_KEYS reads it, counted from 0: with 0 the others may go. None: no key does."""
        for place, key in enumerate(self._field.fernet_keys):
            try:
                Fernet(key).decrypt(self.ciphertext)
            except (InvalidToken, ValueError):
                continue
            return place
        return None

    def renewed(self) -> Sealed:
        """Return the same text encrypted with the first key. Raises SecretUnreadable where no key fits."""
        try:
            keys = MultiFernet([Fernet(key) for key in self._field.fernet_keys])
            return Sealed(keys.rotate(self.ciphertext), self._field)
        except (InvalidToken, ValueError):
            raise SecretUnreadable("No key in FERNET_KEYS reads this secret.") from None

    def __repr__(self) -> str:
        """Say that something is there, and nothing else."""
        return "<sealed>"


class SecretField(EncryptedTextField):
    """Text that is encrypted at rest and decrypted only on demand."""

    def from_db_value(self, value: Any, expression: Any, connection: Any, *args: Any) -> Sealed | None:
        """Wrap what was loaded; nothing is decrypted here, so a wrong key never breaks a page."""
        return None if value is None else Sealed(bytes(value), self)

    def to_python(self, value: Any) -> Any:
        """Let a sealed value pass through model validation untouched."""
        return value if isinstance(value, Sealed) else super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        """Let a sealed value pass on its way to the database."""
        return value if isinstance(value, Sealed) else super().get_prep_value(value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Encrypt plain text; write a sealed value back as it is; leave expressions (bulk_update, F) to the compiler."""
        if hasattr(value, "as_sql"):
            return value
        if isinstance(value, Sealed):
            return connection.Database.Binary(value.ciphertext)
        return super().get_db_prep_save(value, connection)

    def value_to_string(self, obj: Any) -> str:
        """Keep secrets out of `dumpdata`: a dump shows only whether there is one."""
        return "" if self.value_from_object(obj) in (None, "") else "<sealed>"
