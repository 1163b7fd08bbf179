"""Writes the audit trail: `note(Act.PAUSE, integration)` where the act happens, in its transaction.

Who and from where comes from the request that is being answered, which a middleware remembers; without one it was the system
itself. Only names of fields go in, and a customer is a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.core.validators import validate_ipv46_address
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from integrations.clients import address_of
from integrations.kept_words import kept, said
from integrations.models import Act, AuditEntry, Merchant
from integrations.roles import path_of

__all__ = ["Act", "Audited", "note", "person", "remember_request"]

# Whose names tell nothing of a customer; any other row is named by its kind and key.
NAMED = {
    "integrations.Integration",
    "integrations.Merchant",
    "integrations.Membership",
    "integrations.Invitation",
    "events.EventDefinition",
    "auth.User",
    "auth.Group",
}
_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)


def remember_request(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: keep the request at hand while it is answered. It stands behind the one that knows the user."""

    def answer(request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return get_response(request)
        finally:
            _request.reset(token)

    return answer


def person() -> Any:
    """Return the member of staff whose request is being answered, or None."""
    user: Any = getattr(_request.get(), "user", None)
    return user if user is not None and user.is_authenticated and user.is_staff else None


@kept()
def note(
    act: str,
    subject: Model | None = None,
    *,
    merchant: Merchant | int | None = None,
    fields: Iterable[Any] = (),
    actor: Any = None,
    **details: str | int,
) -> AuditEntry:
    """Write one entry. `merchant` is the subject's, if not given; `actor` whoever asks, if not given.

    `fields` are names of what was changed. `details` are words and numbers without secrets: the caller answers for them.
    """
    user = actor or person()
    if merchant is None and subject is not None:
        merchant = merchant_of(subject)
    return AuditEntry.objects.create(
        act=act,
        merchant_id=merchant.pk if isinstance(merchant, Merchant) else merchant,
        actor_id=user.pk if user else None,
        actor_name=user.get_username()[:150] if user else "",
        subject_type=subject._meta.label_lower if subject is not None else "",
        subject_key=str(subject.pk)[:40] if subject is not None else "",
        subject=words_of(subject)[:200] if subject is not None else "",
        fields=[str(name) for name in fields],
        details={name: value if isinstance(value, int) else str(value) for name, value in details.items()},
        address=_address(),
    )


def merchant_of(row: Model) -> int | None:
    """Return the key of the merchant that a row belongs to, by the way that its admin declares. None: to nobody's."""
    path = path_of(type(row))
    if path == "pk":
        return int(row.pk)
    found: Any = row
    try:
        *steps, last = path.split("__") if path else ["merchant"]
        for step in steps:
            found = getattr(found, step)
        key: int | None = getattr(found, f"{last}_id", None)
    except ObjectDoesNotExist:
        return None
    return key


def words_of(row: Model) -> str:
    """Return what a row is called in the trail."""
    return str(row) if row._meta.label in NAMED else f"{row._meta.verbose_name} {row.pk}"


def _address() -> str | None:
    """Return where the request came from."""
    request = _request.get()
    found = address_of(request.META) if request is not None else ""
    try:
        validate_ipv46_address(found)
    except ValidationError:
        return None
    return str(found)


class Audited:
    """Writes into the audit trail what an admin adds, changes and deletes: names of fields, never values."""

    notes_itself = False  # where whoever saves and deletes the rows notes it already

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note what was added."""
        if isinstance(message, list) and not self.notes_itself:
            note(Act.ADDED, obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note which fields were changed. What a verb says in words of its own, it notes itself."""
        own = [item["changed"] for item in message if "changed" in item] if isinstance(message, list) else []
        for change in () if self.notes_itself else own:
            if "name" not in change:  # of an inline its own rows are noted
                note(Act.CHANGED, obj, fields=change.get("fields", ()))
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Say what verbs wrote in words of their own in the reader's language."""
        answer: HttpResponse = super().history_view(request, object_id, extra_context)  # type: ignore[misc]
        for entry in (getattr(answer, "context_data", None) or {}).get("action_list", ()):
            entry.change_message = said(entry.change_message)
        return answer

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Note what is about to be deleted."""
        for row in () if self.notes_itself else queryset:
            note(Act.DELETED, row)
        return super().log_deletions(request, queryset)  # type: ignore[misc]
