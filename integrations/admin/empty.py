"""A list without rows says what it will hold, and what to do first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _


class EmptyList:
    """Shows a sentence with a first action where a list has no rows. Words in `empty_words` may stand in the sentence."""

    change_list_template: Any = "integrations/list.html"
    empty_icon = "inbox"
    empty_title: Any = ""
    empty_text: Any = ""

    def empty_words(self, request: HttpRequest) -> Mapping[str, str]:
        """Return the words that title and text have places for."""
        return {}

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Return address and label of the first action on an empty list; by default to add a row, for whoever may."""
        meta = self.model._meta  # type: ignore[attr-defined]
        if not self.has_add_permission(request):  # type: ignore[attr-defined]
            return None
        label = _("Add %(name)s") % {"name": meta.verbose_name}
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_add"), label

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the list's template needs."""
        words = self.empty_words(request)
        return {
            "empty_icon": self.empty_icon,
            "empty_title": str(self.empty_title) % words,
            "empty_text": str(self.empty_text) % words,
            "empty_action": self.empty_action(request),
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list."""
        context = self.empty_state(request) | (extra_context or {})
        answer: HttpResponse = super().changelist_view(request, context)  # type: ignore[misc]
        return answer
