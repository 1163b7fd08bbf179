"""Colours and icons of states, in one table for lists, pages and the dashboard."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.states import State

# Unfold's label colours; an icon, so that nobody depends on colour.
LOOK: dict[str, tuple[str, str]] = {
    State.QUEUED: ("info", "schedule"),
    State.SENDING: ("info", "sync"),
    State.RETRYING: ("warning", "replay"),
    State.HELD: ("warning", "pause_circle"),
    State.SENT: ("success", "check_circle"),
    State.FAILED: ("danger", "error"),
    State.SKIPPED: ("", "do_not_disturb_on"),
    State.CANCELLED: ("", "cancel"),
}
LABELS = {state: tone for state, (tone, _icon) in LOOK.items()}


def with_icon(icon: str, text: Any) -> SafeString:
    """Return a text behind its icon. The icon is decoration: readers skip it."""
    return format_html(
        '<span class="material-symbols-outlined text-sm -ml-0.5 mr-0.5 align-[-3px]" aria-hidden="true">{}</span>{}', icon, text
    )


def state_word(state: str) -> tuple[str, SafeString]:
    """Return a state for unfold's `@display(label=LABELS)`: the key, and the word behind its icon."""
    label = State(state).label if state in State.values else state
    return state, with_icon(LOOK.get(state, ("", "help"))[1], label)
