"""The panels at the top of the set-up page: what came of the last check, what waits, how the integration is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from integrations.admin.tabs import done_afterwards, url_of
from integrations.kept_words import said
from integrations.models import Integration, Status
from integrations.secrets import is_readable
from integrations.signals import flow_asked


@dataclass(frozen=True, slots=True)
class Panel:
    """Something the page says in a coloured box. `waits`: it is about new values that can be checked again or discarded."""

    tone: str  # success, warning, danger
    icon: str
    title: str
    lines: tuple[str, ...] = ()
    fix: str = ""
    when: str = ""
    role: str = ""
    link: tuple[str, str] | None = None  # address and words, of interest to all
    action: tuple[str, str] | None = None  # address and words of the next step, for who may do it
    waits: bool = False


def panels_of(integration: Integration) -> list[Panel]:
    """Return the panels, the newest news first. While a check is under way there is nothing to say but that."""
    if integration.status == Status.INITIALIZING:
        return []
    result: dict[str, Any] = integration.check_result or {}
    if lost := _unreadable(integration):
        state = _state(integration, result) if is_readable(integration, "sealed_secrets") else None
        return [*lost, state] if state else lost
    found = [_outcome(integration, result), *_flow(integration), _state(integration, result)]
    return [panel for panel in found if panel]


def _unreadable(integration: Integration) -> list[Panel]:
    """Return what no key reads, in the place of the news about it: nothing of that can be acted upon before."""
    found = []
    if not is_readable(integration, "sealed_secrets"):
        lines: tuple[str, ...] = (_("The encryption key was changed, or the row was damaged. Nothing can be sent with it."),)
        lines += (_("Until then events wait; none is lost."),) if integration.initialized_at else ()
        fix = _("Enter the credentials again below and initialize, or have an administrator put the former key into FERNET_KEYS.")
        found.append(Panel("danger", "key_off", _("The stored credentials cannot be read"), lines, fix, role="alert"))
    if not is_readable(integration, "sealed_candidate"):
        title = _("The new values that wait for their check cannot be read")
        fix = _("Discard them and enter them again, or have an administrator put the former key into FERNET_KEYS.")
        found.append(Panel("warning", "key_off", title, (), fix, role="alert", waits=True))
    return found


def _outcome(integration: Integration, result: dict[str, Any]) -> Panel | None:
    """Return what is to be said of new values, or of a check that taught nothing."""
    pending, when = integration.sealed_candidate is not None, _when(integration, result)
    reason, fix = result.get("reason", ""), result.get("fix", "")
    if reason and not result.get("ok") and not result.get("learned", True):
        stays = _("The new values wait; the previous ones stay in use.") if pending else _("Everything stays as it was.")
        return Panel("warning", "cloud_off", reason, (stays,), fix, when, "alert", waits=pending)
    if reason and not result.get("ok") and result.get("candidate"):
        title = _("The new values were refused: %(reason)s") % {"reason": reason}
        return Panel("danger", "error", title, (_("The previous ones stay in use."),), fix, when, "alert")
    if pending:
        words = _("They take effect once %(provider)s has accepted them. Until then the previous ones stay in use.")
        title = _("New values wait for their check")
        return Panel("warning", "hourglass_top", title, (words % {"provider": integration.label},), waits=True)
    return None


def _flow(integration: Integration) -> list[Panel]:
    """Return why events wait although the integration is active, as far as whoever sends them knows."""
    told: list[Any] = [answer for _receiver, answer in flow_asked.send(Integration, integration=integration) if answer]
    return [Panel("warning", "cloud_off", title, lines, role="status") for title, lines in told]


def _state(integration: Integration, result: dict[str, Any]) -> Panel | None:
    """Return how the integration is; nothing for one that was never connected."""
    match integration.status:
        case Status.ATTENTION:
            title = said(integration.status_reason) or _("This integration needs attention.")
            waits = (_("Until then events wait; none is lost."),) if integration.initialized_at else ()
            when = _when(integration, result) if result.get("reason") == integration.status_reason else ""
            return Panel("danger", "error", title, waits, said(integration.status_fix), when, "alert")
        case Status.PAUSED if integration.initialized_at:
            lines = (*_accepted(result), _("Waiting events are kept and sent after you resume."))
            return Panel("warning", "pause_circle", _("Paused: nothing is sent"), lines)
        case Status.ACTIVE:
            return _connected(integration, result)
    return None


def _connected(integration: Integration, result: dict[str, Any]) -> Panel:
    """Return the good news and the next step."""
    ok = bool(result.get("ok"))
    event_url = url_of(integration, "new_event")
    title = (ok and said(result.get("detail", ""))) or _("%(name)s is connected") % {"name": integration.label}
    sending = "new_event" in done_afterwards(integration)
    todo = _("Your events are sent within seconds.") if sending else _("Now choose what should be sent.")
    lines = _accepted(result) if integration.breaker_until else (*_accepted(result), todo)
    sync = url_of(integration, "sync")
    if integration.contract.fills_list:
        lines += (_("All customers are added to the list; Customers sync shows how far it is."),)
    return Panel(
        "success",
        "check_circle",
        str(title),
        lines,
        when=_when(integration, result) if ok else "",
        role="status",
        link=(sync, _("Customers sync")) if integration.contract.fills_list and sync else None,
        action=(event_url, _("Create an event")) if event_url and not sending else None,
    )


def _accepted(result: dict[str, Any]) -> tuple[str, ...]:
    """Return the word that new values are in use, after they were accepted."""
    return (_("The new values are in use."),) if result.get("ok") and result.get("candidate") else ()


def _when(integration: Integration, result: dict[str, Any]) -> str:
    """Return when the check ended, on the merchant's clock."""
    try:
        ended_at = datetime.fromisoformat(str(result.get("at")))
    except ValueError:
        return ""
    local = timezone.localtime(ended_at, ZoneInfo(integration.merchant.timezone))
    return _("Checked %(when)s") % {"when": date_format(local, "DATETIME_FORMAT")}
