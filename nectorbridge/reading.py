"""Reading settings: keys for a machine that was given none, and one clear line for a value that cannot be right."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

KEY_BYTES = 48


def local_key(folder: Path, name: str) -> str:
    """Return the key kept in `folder/name`, made on first use. Raises ImproperlyConfigured if it cannot be kept there."""
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # O_EXCL: of two processes that start together one writes the key and the other reads it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_text().strip()
        if key:
            return key
        raise ImproperlyConfigured(f"{path} is empty. Delete it to have a new key made, or set the key.") from None
    except OSError as error:
        raise ImproperlyConfigured(f"Cannot keep a key in {folder}: {error.strerror}. Set SECRET_KEY and FERNET_KEYS.") from None
    key = secrets.token_urlsafe(KEY_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
    return key


def required(value: str | list[str], name: str, example: str) -> None:
    """Refuse to start without a setting that must be explicit once DEBUG is off."""
    if not value or value == [""]:
        raise ImproperlyConfigured(f"{name} is not set. With DEBUG off it must be given, for example {name}={example}")


def number(name: str, default: str) -> float:
    """Return a setting's number. Raises ImproperlyConfigured, naming it, for anything that is no number of 0 or more."""
    return numbers(name, default, separator=None)[0]


def optional_numbers(name: str) -> list[float]:
    """Return a setting's comma-separated numbers; none where it is not set. Raises ImproperlyConfigured, naming the setting."""
    return numbers(name, "") if os.environ.get(name, "") else []


def numbers(name: str, default: str, separator: str | None = ",") -> list[float]:
    """Return a setting's comma-separated numbers; at least one. Raises ImproperlyConfigured, naming the setting."""
    text = os.environ.get(name, "") or default
    parts = text.split(separator) if separator else [text]
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [math.nan]
    if not all(0 <= value < math.inf for value in values):
        raise ImproperlyConfigured(f"{name} must be {'numbers' if separator else 'a number'} of 0 or more; it is {text!r}")
    return values


def one_of(name: str, choices: Sequence[str], default: str) -> str:
    """Return a setting's word, in the spelling of the choices. Raises ImproperlyConfigured, naming it, for any other."""
    text = os.environ.get(name, "") or default
    for choice in choices:
        if text.lower() == choice.lower():
            return choice
    raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}; it is {text!r}")
