"""Enrolment, codes and recovery codes. The arithmetic is django-otp's; keys are encrypted at rest, recovery codes hashed."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from datetime import datetime
from urllib.parse import quote, urlencode

import segno
from django.contrib.auth import get_user_model
from django.db import transaction
from django_otp.oath import TOTP

from nectorbridge.models import RecoveryCode, SecondFactor

ISSUER = "Nectorbridge"
KEY_BYTES = 20
TOLERANCE = 1  # steps of 30 seconds that a clock may differ
RECOVERY_CODES = 10
RECOVERY_BYTES = 8
CODE_DIGITS = 6


def begin(user_id: int) -> SecondFactor:
    """Return the app that the user is about to set up: a new key, unless one is confirmed already."""
    with transaction.atomic():
        get_user_model().objects.select_for_update().get(pk=user_id)  # so that a double click makes one
        found = SecondFactor.objects.filter(user_id=user_id).first()
        if found and found.confirmed:
            return found
        if found:
            found.delete()
        factor = SecondFactor(user_id=user_id, name="app", confirmed=False)
        factor.key = secrets.token_bytes(KEY_BYTES)
        factor.save()
        return factor


def confirm(factor: SecondFactor, code: str) -> list[str] | None:
    """Have the app count from now on, if this is its code. Returns the recovery codes, to be shown this once; None if not."""
    with transaction.atomic():
        if not _takes(factor, code, recovery_too=False):
            return None
        SecondFactor.objects.filter(pk=factor.pk).update(confirmed=True)
        return new_recovery_codes(factor)


def takes(factor: SecondFactor, code: str) -> bool:
    """Tell whether this is a code of the app, or a recovery code, that was not used before. It is used up."""
    with transaction.atomic():
        return _takes(factor, code, recovery_too=True)


def waits_until(factor: SecondFactor) -> datetime | None:
    """Return until when no code is looked at, after wrong ones; None where the next one is."""
    allowed, why = factor.verify_is_allowed()
    return None if allowed or not why else why["locked_until"]


def new_recovery_codes(factor: SecondFactor) -> list[str]:
    """Replace the recovery codes. Returns the new ones, which nobody can look up later."""
    codes = [secrets.token_hex(RECOVERY_BYTES) for _number in range(RECOVERY_CODES)]
    with transaction.atomic():
        factor.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_digest(factor, code)) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def key_text(factor: SecondFactor) -> str:
    """Return the key as people type it: base 32, in groups of four. Raises SecretUnreadable."""
    text = base64.b32encode(factor.key).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def picture(factor: SecondFactor) -> str:
    """Return the QR code to scan, as an SVG element made here. Raises SecretUnreadable."""
    label = quote(f"{ISSUER}:{factor.user.get_username()}")
    query = urlencode({"secret": base64.b32encode(factor.key).decode(), "issuer": ISSUER})
    made = segno.make(f"otpauth://totp/{label}?{query}", error="m")
    return str(made.svg_inline(scale=5, border=4, light="#fff", svgclass=None, lineclass=None))


def _takes(factor: SecondFactor, code: str, recovery_too: bool) -> bool:
    """Look at a code while the row is locked, so that of two that come together one is taken."""
    factor = SecondFactor.objects.select_for_update().get(pk=factor.pk)
    if waits_until(factor):
        return False
    typed = "".join(character for character in code if character.isalnum()).lower()
    if len(typed) == CODE_DIGITS and typed.isdecimal():
        is_right = _is_of_app(factor, int(typed))
    else:
        rows = factor.recovery_codes.filter(digest=_digest(factor, typed))
        is_right = recovery_too and bool(rows.delete()[0])
    if is_right:
        factor.throttle_reset()
    else:
        factor.throttle_increment()
    return is_right


def _is_of_app(factor: SecondFactor, code: int) -> bool:
    """Tell whether the app shows this code now, or did just now, and later than what was taken last."""
    clock = TOTP(factor.key)
    clock.time = time.time()
    if not clock.verify(code, TOLERANCE, factor.last_step + 1):
        return False
    factor.last_step = clock.t()
    return True


def _digest(factor: SecondFactor, code: str) -> str:
    """Return what is kept of a recovery code: it is random and long, so that one round is enough."""
    return hashlib.sha256(f"{factor.uid}:{code}".encode()).hexdigest()
