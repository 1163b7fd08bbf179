"""Resetting somebody's second factor: administrators anybody's, owners that of people who work for their merchants alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from integrations import audit
from integrations.models import Membership, Role
from integrations.roles import roles_of
from nectorbridge.models import SecondFactor


def _owned(user: Any) -> list[int]:
    """Return the merchants that this person owns."""
    return [pk for pk, role in roles_of(user).items() if role == Role.OWNER]


def may_reset_some(user: Any) -> bool:
    """Tell whether this person may reset anybody's second factor."""
    return bool(user.is_active and (user.is_superuser or (user.is_staff and _owned(user))))


def resettable(user: Any) -> QuerySet[Any]:
    """Return the people whose second factor this person may reset: never one's own, for which a code is needed."""
    others = get_user_model().objects.filter(is_staff=True).exclude(pk=user.pk)
    if user.is_superuser:
        return others
    owned = _owned(user)
    elsewhere = Membership.objects.filter(user=OuterRef("pk")).exclude(merchant__in=owned)
    here = Membership.objects.filter(user=OuterRef("pk"), merchant__in=owned)
    return others.filter(Exists(here), ~Exists(elsewhere), is_superuser=False)


def reset(request: HttpRequest, person: Any) -> None:
    """Forget somebody's app and recovery codes. If they need one, they set up a new one before anything else."""
    SecondFactor.objects.filter(user=person).delete()
    note(request, person, gettext_noop("Second factor reset."))


def note(request: HttpRequest, person: Any, words: str) -> None:
    """Write into the person's history, and into the audit trail, who did what."""
    audit.note(audit.Act.SECOND_FACTOR, person, what=words)
    registered = admin.site._registry.get(get_user_model())
    if registered is not None:
        registered.log_change(request, person, words)
