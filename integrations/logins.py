"""Log-ins, failed log-ins, log-outs and memberships, as the audit trail has them: for every merchant whose staff it is."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from integrations.audit import Act, note
from integrations.caching import tried
from integrations.models import Membership

MOST_MERCHANTS = 20  # of somebody in the staff of more, the entry belongs to none: administrators find it
MOST_FAILED_A_MINUTE = 60  # more are an attack, and must not fill the table


def connect() -> None:
    """Listen."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit.login")
    user_logged_out.connect(_logged_out, dispatch_uid="audit.logout")
    user_login_failed.connect(_failed, dispatch_uid="audit.failed")
    post_save.connect(_saved, Membership, dispatch_uid="audit.membership")
    post_delete.connect(_deleted, Membership, dispatch_uid="audit.no_membership")


def _logged_in(user: Any, **_kwargs: Any) -> None:
    _note(Act.LOGIN, user)


def _logged_out(user: Any, **_kwargs: Any) -> None:
    if user is not None:
        _note(Act.LOGOUT, user)


def _failed(credentials: dict[str, Any], **_kwargs: Any) -> None:
    """Note whose log-in failed. A name that nobody has is not kept: it may be a password typed into the wrong box."""
    if _are_too_many():
        return
    model = get_user_model()
    user = model.objects.filter(**{model.USERNAME_FIELD: str(credentials.get(model.USERNAME_FIELD) or "")[:150]}).first()
    if user is None:
        note(Act.LOGIN_FAILED)
    else:
        _note(Act.LOGIN_FAILED, user)


def _are_too_many() -> bool:
    """Count one more within this minute; tell whether that is too many. Without a cache none is."""
    key = f"audit:failed:{timezone.now():%Y%m%d%H%M}"
    tried("Failed log-ins are not counted", cache.add, key, 0, 120)
    return (tried("Failed log-ins are not counted", cache.incr, key) or 0) > MOST_FAILED_A_MINUTE


def _note(act: Act, user: Any) -> None:
    """Write an entry for each merchant of the user's, or one for nobody's."""
    keys = list(Membership.objects.filter(user=user).values_list("merchant", flat=True)[: MOST_MERCHANTS + 1])
    for merchant in keys if 0 < len(keys) <= MOST_MERCHANTS else [None]:
        note(act, merchant=merchant, actor=user)


def _saved(instance: Membership, created: bool, raw: bool, **_kwargs: Any) -> None:
    if not raw:
        note(Act.STAFF_ADDED if created else Act.ROLE, instance, merchant=instance.merchant_id, role=instance.role)


def _deleted(instance: Membership, **_kwargs: Any) -> None:
    note(Act.STAFF_REMOVED, instance, merchant=instance.merchant_id, role=instance.role)
