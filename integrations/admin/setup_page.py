"""The set-up page as data: the guide's steps with ticks, and under each the fields it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.forms import BoundField
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from integrations.admin.panels import panels_of
from integrations.admin.progress import progress_of
from integrations.admin.tabs import done_afterwards, url_of
from integrations.disconnecting import count_waiting, is_connected
from integrations.forms import COMMON_PROPERTY, SetupForm
from integrations.models import Integration, Status
from integrations.providers.base import Field, Step

DONE, MISSING, OPTIONAL, WRONG, LATER, NEXT, THEN = "done", "missing", "optional", "wrong", "later", "next", "then"
STATE_WORDS: dict[str, Any] = {
    DONE: _("done"),
    MISSING: _("to do"),
    OPTIONAL: _("if needed"),
    WRONG: _("needs attention"),
    LATER: _("after connecting"),
    NEXT: _("next"),
    THEN: _("afterwards"),
}
ICONS = {DONE: "check", WRONG: "priority_high"}
# What the link to a step's page says (see `Step.leads_to`).
WAYS: dict[str, Any] = {
    "new_event": _("Create an event"),
    "test": _("Choose the event to test"),
    "deliveries": _("See the deliveries"),
    "journey": _("Choose the event, and copy its trigger name and values"),
}
AGAIN: dict[str, Any] = {"new_event": _("Create another event"), "test": _("Test another event")}


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of a step, with its help; `shown` is the saved value for those who may only look."""

    bound: BoundField
    where: Any = ""
    looks_like: str = ""
    wrong: Any = ""
    note: str = ""
    shown: str = ""
    suggestions: tuple[tuple[str, Any], ...] = ()
    required: bool = True
    doubt: Any = ""


@dataclass(frozen=True, slots=True)
class StepView:
    """One numbered step. `connects`: here is the Initialize button. `saves`: the last field before something else.

    `seldom` are fields that only some accounts need, folded; open where one of them has something to say.
    """

    number: int
    title: Any
    body: Any
    state: str
    fields: list[FieldView]
    connects: bool
    saves: bool
    seldom: list[FieldView]
    way: tuple[str, Any] | None = None  # address and words of the page on which the step is done
    adds: bool = False  # that page is a form, of no use to those who may only look

    @property
    def opens_seldom(self) -> bool:
        """Tell whether one of the folded fields has a value, an error or a doubt."""
        return any(field.bound.errors or field.bound.value() or field.doubt for field in self.seldom)

    @property
    def word(self) -> str | Promise:
        """Return the state in words, for those who do not see the tick."""
        return STATE_WORDS[self.state]

    @property
    def icon(self) -> str:
        """Return the icon that replaces the number, if any."""
        return ICONS.get(self.state, "")


def steps_of(integration: Integration, form: SetupForm) -> list[StepView]:
    """Return the guide's steps in order. The first step that asks for nothing is where Initialize belongs."""
    steps = integration.contract.guide.steps
    connecting = next((index for index, step in enumerate(steps) if not step.fields), len(steps))
    done, views = done_afterwards(integration), []
    later = [index for index, step in enumerate(steps) if index > connecting and not step.fields and step.leads_to not in done]
    following = later[0] if later else len(steps)
    for index, step in enumerate(steps):
        follower = steps[index + 1] if index + 1 < len(steps) else None
        state = _state(integration, form, step, index - connecting, index == following)
        saves = bool(step.fields) and not (follower and follower.fields)
        if state in (NEXT, THEN) and step.leads_to in done:
            state = DONE
        fields = [_field(integration, form, name) for name in step.fields]
        asked = [field for field in fields if field.required] or fields
        seldom = [field for field in fields if field not in asked]
        way = _way(integration, step, state == DONE) if state in (NEXT, THEN, DONE) else None
        adds = step.leads_to == "new_event"
        views.append(StepView(index + 1, step.title, step.body, state, asked, index == connecting, saves, seldom, way, adds))
    return views


def _way(integration: Integration, step: Step, is_done: bool) -> tuple[str, Any] | None:
    """Return address and words of the page on which a step is done; tests and journeys belong to one event each."""
    address = url_of(integration, "launch" if step.leads_to in ("test", "journey") else step.leads_to) if step.leads_to else ""
    if step.leads_to in ("test", "journey") and address:
        address += "#events"
    words = WAYS | (AGAIN if is_done else {})
    return (address, words[step.leads_to]) if address else None


def _state(integration: Integration, form: SetupForm, step: Step, after_connecting: int, follows: bool) -> str:
    """Return whether a step is done. `after_connecting` is negative before the Initialize step, zero at it."""
    if step.fields:
        if any(name in form.errors for name in step.fields):
            return WRONG
        if _is_complete(integration, form, step):
            return DONE
        return OPTIONAL if after_connecting < 0 and not _asked(integration, step) else MISSING
    if after_connecting:
        if integration.initialized_at is None or integration.status == Status.ATTENTION:
            return LATER
        return NEXT if follows else THEN
    if integration.status == Status.ATTENTION:
        return WRONG
    return DONE if integration.initialized_at else MISSING


def _is_complete(integration: Integration, form: SetupForm, step: Step) -> bool:
    """Tell whether a step has all it needs; one that needs nothing is a question, and done once the answer is not no."""
    if all(_has_value(integration, form, name) for name in step.fields):
        saved = {**(integration.settings or {}), **form.saved_secrets}
        return bool(_asked(integration, step)) or any(saved.get(name) for name in step.fields)
    return False


def _asked(integration: Integration, step: Step) -> list[str]:
    """Return the step's fields that nobody can connect without."""
    return [name for name in step.fields if name == COMMON_PROPERTY or _declared(integration, name).required]


def _has_value(integration: Integration, form: SetupForm, name: str) -> bool:
    """Tell whether a field needs nothing more. The proposed common property counts once anything was saved."""
    if name == COMMON_PROPERTY:
        return bool(integration.settings or integration.secrets_changed_at or integration.initialized_at)
    field = _declared(integration, name)
    if not field.required:
        return True
    if field.secret:
        return bool(form.saved_secrets.get(name))
    return name in (integration.settings or {})


def _declared(integration: Integration, name: str) -> Field:
    """Return the provider's declaration of a field. Raises KeyError for a guide that names an unknown one."""
    return {field.name: field for field in integration.contract.fields}[name]


def _field(integration: Integration, form: SetupForm, name: str) -> FieldView:
    """Return one field with its help."""
    if name == COMMON_PROPERTY:
        label = dict(integration.contract.identities).get(integration.common_property, integration.common_property)
        return FieldView(form[name], shown=str(label))
    field = _declared(integration, name)
    texts, required = (field.where, field.looks_like, field.wrong), field.required
    doubt = form.doubts.get(name, "")
    if field.secret:
        masked = integration.masked_secrets.get(name, "")
        return FieldView(form[name], *texts, form.secret_note(name), masked, required=required, doubt=doubt)
    value = (integration.settings or {}).get(name, "")
    key = str(value).lower() if isinstance(value, bool) else str(value)
    suggestions = field.choices if "list" in form.fields[name].widget.attrs else ()
    shown = str(dict(field.choices).get(key, key))
    return FieldView(form[name], *texts, shown=shown, suggestions=suggestions, required=required, doubt=doubt)


def setup_context(integration: Integration, form: SetupForm) -> dict[str, Any]:
    """Return what the set-up page's template needs besides permissions."""
    return {
        "integration": integration,
        "guide": integration.contract.guide,
        "form": form,
        "steps": steps_of(integration, form),
        "progress": progress_of(integration) if integration.status == Status.INITIALIZING else None,
        "panels": panels_of(integration),
        "connected": integration.status == Status.ACTIVE,
        "fresh": integration.status == Status.DRAFT and not form.is_bound,
        # Once connected, the next step is the one big button; while paused, Resume is.
        "connect_variant": "default" if integration.status in (Status.ACTIVE, Status.PAUSED) else "primary",
        "paused": integration.status == Status.PAUSED and integration.initialized_at is not None,
        "checking": integration.status == Status.INITIALIZING,
        "may_disconnect": is_connected(integration),
        "waiting": count_waiting(integration) if is_connected(integration) else 0,
        "catalogue_url": f"{reverse('admin:integrations_integration_changelist')}?merchant={integration.merchant_id}",
        "history_url": reverse("admin:integrations_integration_history", args=[integration.pk]),
        "delete_url": reverse("admin:integrations_integration_delete", args=[integration.pk]),
    }
