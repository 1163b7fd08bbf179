"""Encryption keys, for administrators: which are in use, what is still under a former one, what cannot be read, and rotation."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from unfold.admin import ModelAdmin

from events import rotating
from events.admin.base import grouped, link, local, one, view_of
from events.models import KeyRotation, RotationState
from integrations import rotation
from integrations.scope import AdministratorsOnly, NeverEdited

PAGE = "events_keyrotation_changelist"
RUNS_SHOWN, UNREADABLE_SHOWN = 10, 100
LONGEST_LOOK_SECONDS = 2.0  # at all secrets: people wait for the page


@admin.register(KeyRotation)
class KeyRotationAdmin(NeverEdited, AdministratorsOnly, ModelAdmin):
    """One page. Runs are made by its button or by `manage.py rotatekeys`, and never edited."""

    def get_urls(self) -> list[Any]:
        """Add the progress and the two verbs."""
        wrap = self.admin_site.admin_view
        return [
            path("start/", wrap(self.start), name="events_keyrotation_start"),
            path("<int:run_id>/progress/", wrap(self.progress), name="events_keyrotation_progress"),
            path("<int:run_id>/stop/", wrap(self.stop), name="events_keyrotation_stop"),
            *super().get_urls(),
        ]

    # --- Pages -------------------------------------------------------------------------------------------------------
    @method_decorator(never_cache)
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the page."""
        self._check(request)
        context = {**self.admin_site.each_context(request), **_context(request), **(extra_context or {})}
        return TemplateResponse(request, "events/keys.html", context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Lead from a run, as the audit trail names it, to the page."""
        self._find(request, object_id)
        return HttpResponseRedirect(link(PAGE))

    def progress(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Return how far a run is, for the page to show."""
        return JsonResponse(progress_of(self._find(request, str(run_id))))

    # --- Verbs -------------------------------------------------------------------------------------------------------
    def start(self, request: HttpRequest) -> HttpResponse:
        """POST: encrypt everything with the first key."""
        self._check(request)
        if request.method == "POST":
            self.log_change(request, rotating.start(request.user), _("Started."))
            messages.success(request, _("Started. You can leave this page: it goes on in the background."))
        return HttpResponseRedirect(link(PAGE))

    def stop(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """POST: stop where it is."""
        run = self._find(request, str(run_id))
        if request.method == "POST":
            if rotating.stop(run, user=request.user):
                self.log_change(request, run, _("Stopped."))
                messages.success(request, _("Stopped. What was re-encrypted stays so; begin again, and it goes on from there."))
            else:
                messages.warning(request, _("It was over already."))
        return HttpResponseRedirect(link(PAGE))

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def _check(self, request: HttpRequest) -> None:
        """Raise PermissionDenied for everybody but administrators."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _find(self, request: HttpRequest, pk: str) -> KeyRotation:
        """Return a run. Raises PermissionDenied and Http404."""
        self._check(request)
        run: KeyRotation | None = one(KeyRotation.objects.all(), pk).first() if pk.isdecimal() and len(pk) < 19 else None
        if run is None:
            raise Http404
        return run


def _context(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows."""
    known, zone = rotation.standing(LONGEST_LOOK_SECONDS), view_of(request).zone
    runs = list(KeyRotation.objects.select_related("asked_by")[:RUNS_SHOWN])
    current = runs[0] if runs else None
    return {
        "title": _("Encryption keys"),
        "keys": list(zip(rotation.fingerprints(), map(grouped, known.by_key), strict=True)),
        "former": known.former,
        "former_words": grouped(known.former),
        "unreadable": [(_name_of(found), found.why, found.entered_at) for found in known.unreadable[:UNREADABLE_SHOWN]],
        "unreadable_count": len(known.unreadable),
        "more_unreadable": max(0, len(known.unreadable) - UNREADABLE_SHOWN),
        "is_whole": known.is_whole,
        "run": current,
        "progress": progress_of(current) if current else {"over": True},
        "progress_url": link("events_keyrotation_progress", current.pk) if current else "",
        "stop_url": link("events_keyrotation_stop", current.pk) if current else "",
        "start_url": link("events_keyrotation_start"),
        "goes_on": current is not None and current.state == RotationState.STOPPED and current.ring == rotating.ring(),
        "runs": [(run, progress_of(run), local(run.started_at, zone), local(run.ended_at, zone)) for run in runs],
    }


def _name_of(found: rotation.Found) -> str:
    """Return what a secret is and whose, in a person's words."""
    row = found.column.model._base_manager.filter(pk=found.pk).first()
    kinds = {
        "sealed_secrets": _("Credentials"),
        "sealed_candidate": _("New credentials that wait for their check"),
        "sealed_callback_auth": _("What callbacks must show"),
        "sealed_nector_secrets": _("Secrets of Nector's webhooks"),
        "sealed_key": _("Second factor"),
    }
    return _("%(kind)s of %(row)s") % {"kind": kinds.get(found.column.field.name, found.column.label), "row": row}


def progress_of(run: KeyRotation) -> dict[str, Any]:
    """Return how far a run is: a share from 0 to 100, and words."""
    is_over, total = run.state != RotationState.RUNNING, max(run.total, run.handled)
    seen = {"done": grouped(run.handled), "total": grouped(total)}
    if run.passes == 1 or is_over:
        words = _("%(done)s of %(total)s secrets") % seen
    else:
        words = _("%(done)s of %(total)s secrets, looked at once more") % seen
    share = min(99, 50 * min(run.passes - 1, 1) + 50 * run.handled // total) if total else 0  # two passes, as a rule
    counts = [
        (run.written, _("%(count)s re-encrypted")),
        (run.former, _("%(count)s under a former key again: something still runs with the former order of keys")),
        (run.unreadable, _("%(count)s cannot be read")),
    ]
    return {
        "state": run.state,
        "label": run.get_state_display(),
        "over": is_over,
        "share": 100 if run.state == RotationState.DONE else share,
        "words": words,
        "parts": "; ".join(text % {"count": grouped(count)} for count, text in counts if count),
        "message": run.message,
        "waits": _("It goes on by itself.") if run.message and not is_over else "",
    }
