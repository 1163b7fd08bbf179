"""Reading settings: keys for a machine that was given none, and one clear line for a value that cannot be right."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from events import conf as events_conf
from integrations import conf as integrations_conf

KEY_BYTES = 48
MAIL_PORTS = {"smtp": 25, "smtps": 587, "smtp+tls": 587, "smtp+ssl": 465}  # where the address names none


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


# What the reusable apps do where nothing is set, the installation does as well.
DEFAULTS = {**integrations_conf.DEFAULTS, **events_conf.DEFAULTS}


def number(name: str, default: str = "") -> float:
    """Return a setting's number; the default is that of the app which reads it.

    Raises ImproperlyConfigured, naming it, for anything that is no number of 0 or more.
    """
    return numbers(name, default, separator=None)[0]


def optional_numbers(name: str) -> list[float]:
    """Return a setting's comma-separated numbers; none where it is not set. Raises ImproperlyConfigured, naming the setting."""
    return numbers(name) if os.environ.get(name, "") else []


def numbers(name: str, default: str = "", separator: str | None = ",") -> list[float]:
    """Return a setting's comma-separated numbers; at least one. Raises ImproperlyConfigured, naming the setting."""
    text = os.environ.get(name, "") or default or _default(name)
    parts = text.split(separator) if separator else [text]
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [math.nan]
    if not all(0 <= value < math.inf for value in values):
        raise ImproperlyConfigured(f"{name} must be {'numbers' if separator else 'a number'} of 0 or more; it is {text!r}")
    return values


def _default(name: str) -> str:
    """Return what the app that reads a setting does without it, as it would be written."""
    value = DEFAULTS[name]
    return ",".join(str(number) for number in (value if isinstance(value, list) else [value]))


def one_of(name: str, choices: Sequence[str], default: str) -> str:
    """Return a setting's word, in the spelling of the choices. Raises ImproperlyConfigured, naming it, for any other."""
    text = os.environ.get(name, "") or default
    for choice in choices:
        if text.lower() == choice.lower():
            return choice
    raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}; it is {text!r}")


def mail(url: str) -> dict[str, Any]:
    """Return Django's mail settings from an address such as smtp+tls://user:password@mail.example.com:587; empty: no mail.

    Raises ImproperlyConfigured, without the address: it holds a password.
    """
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    try:
        found: dict[str, Any] = environ.Env.email_url_config(url)
        if found["EMAIL_BACKEND"].endswith("smtp.EmailBackend"):
            if not found["EMAIL_HOST"]:
                raise ValueError
            found["EMAIL_PORT"] = found["EMAIL_PORT"] or MAIL_PORTS[url.partition(":")[0]]
    except (KeyError, ValueError, ImproperlyConfigured):
        hint = "write smtp+tls://user:password@mail.example.com:587 (characters such as / in a password: %2F)"
        raise ImproperlyConfigured(f"EMAIL_URL cannot be read; {hint}") from None
    if url.startswith("filemail:///"):
        found["EMAIL_FILE_PATH"] = "/" + str(found["EMAIL_FILE_PATH"]).lstrip("/")
    found.pop("OPTIONS", None)
    return found


def host_of(url: str) -> str:
    """Return the host name in an address, for a sender's address; localhost where there is none, or only a number."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host if any(character.isalpha() for character in host) and ":" not in host else "localhost"
