"""System checks of the installation, for `manage.py check --deploy`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Tags, register


@register(Tags.security, deploy=True)
def administrators_show_a_code(**_kwargs: Any) -> list[CheckMessage]:
    """Administrators see every merchant: a password alone is little. It is no warning: some have a network of their own."""
    if settings.SECOND_FACTOR_FOR_ADMINISTRATORS:
        return []
    hint = "Set SECOND_FACTOR_FOR_ADMINISTRATORS=true; each sets an authenticator app up at the next page."
    return [Info("Administrators can log in with a password alone.", hint=hint, id="nectorbridge.I001")]
