"""Nothing in the admin changes state on a GET: every address of every admin is fetched and the database compared.

django-unfold draws actions as links, so an action without a dialog would run on a GET. What the tests register
themselves shows that the walk would notice.
"""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.http import HttpResponse
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

from integrations.models import AuditEntry, Integration
from nectorbridge.tests.tenancy.walk import Writes

OURS = ("integrations", "events", "loyalty", "auth", "django_q")
NOT_STATE = (LogEntry, Session, AuditEntry)  # that somebody took a file along is noted
ACTION_LISTS = ("actions_list", "actions_row", "actions_detail", "actions_submit_line")
ADMINS = sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label)
IDS = [model._meta.label for model, _model_admin in ADMINS]
SHAPES = {"recipient": {"customer_id": "c-1", "email": "asha@example.com", "phone": "", "name": "Asha"}}
# With Redis as its broker django-q2 has no table of queued tasks, and no page for it.
ADMINISTRATION = [model for model in (User, Group, Success, Failure, Schedule, OrmQ) if admin.site.is_registered(model)]


def a_row(model: type[models.Model]) -> models.Model:
    """Return a saved row of any model of ours, with something in every required column."""
    values = {}
    for field in model._meta.concrete_fields:
        if field.name in SHAPES:
            values[field.name] = SHAPES[field.name]
        elif not (field.primary_key or field.null or field.has_default()):
            values[field.name] = _a_value(field)
    row = model(**values)
    row.save()
    return row


def _a_value(field: models.Field):
    """Return a value for one required column."""
    if isinstance(field, models.ForeignKey):
        related = field.related_model
        return related._default_manager.first() or a_row(related)
    if isinstance(field, models.DateTimeField):
        return timezone.now()
    if isinstance(field, models.DateField):
        return timezone.now().date()
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, models.IntegerField | models.DecimalField | models.FloatField):
        return 7
    if isinstance(field, models.JSONField):
        return {}
    if field.choices:
        return field.flatchoices[0][0]
    return f"row{field.name}"[: field.max_length]


def fingerprint() -> dict[str, list]:
    """Return all rows of all our tables."""
    found = [model for label in OURS for model in apps.get_app_config(label).get_models() if model not in NOT_STATE]
    leave_out = {"last_login"}
    return {
        model._meta.label: [
            {name: str(value) for name, value in row.items() if name not in leave_out}
            for row in model._base_manager.order_by("pk").values()
        ]
        for model in found
    }


def addresses(model: type[models.Model], model_admin, row: models.Model | None) -> list[str]:
    """Return every address of one admin, also those of unfold's actions, opened for the row where they take one."""
    found = []
    for pattern in model_admin.get_urls():
        if not pattern.name:
            continue  # Django's own redirect of old addresses
        name = f"admin:{pattern.name}"
        for arguments in ([], [row.pk] if row else None, [row.pk, row.pk] if row else None):
            try:
                found.append(reverse(name, args=arguments or []))
                break
            except NoReverseMatch:
                continue
    return found


def actions(model_admin):
    """Yield unfold's actions of one admin, with the list each stands in."""
    for name in ACTION_LISTS:
        for action in getattr(model_admin, f"_get_base_{name}", list)():
            yield name, action


@pytest.fixture
def administrator(db) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("root"))
    return client


def state_changing_gets(client: Client, model: type[models.Model], model_admin) -> list[str]:
    """Fetch every address of one admin; return those that changed something or broke."""
    row = model._default_manager.first() or a_row(model)
    guilty, before = [], fingerprint()
    for url in addresses(model, model_admin, row):
        with connection.execute_wrapper(writes := Writes()):
            answer = client.get(url)
        after = fingerprint() if writes.seen else before
        if after != before:
            guilty.append(f"{url} changed something")
        before = after
        if answer.status_code >= 500:
            guilty.append(f"{url} answered {answer.status_code}")
    return guilty


@pytest.mark.parametrize(("model", "model_admin"), ADMINS, ids=IDS)
def test_a_get_changes_nothing(administrator, model, model_admin):
    if model._meta.app_label not in OURS:
        pytest.skip("not ours")

    assert state_changing_gets(administrator, model, model_admin) == []


@pytest.mark.parametrize(("model", "model_admin"), ADMINS, ids=IDS)
def test_every_action_has_a_dialog_or_an_address_of_its_own_that_was_fetched(administrator, model, model_admin):
    names = {pattern.name for pattern in model_admin.get_urls()}

    for where, action in actions(model_admin):
        in_a_form = where == "actions_submit_line"  # a button of the change form, which is posted
        assert in_a_form or getattr(action.method, "dialog", None) or action.action_name in names, action.action_name


def test_the_walk_notices_a_page_that_changes_something_on_a_get(administrator, monkeypatch):
    def rename(_request, *_args, **_kwargs):
        Group.objects.filter(name="before").update(name="changed by a GET")
        return HttpResponse("done")

    group_admin = admin.site._registry[Group]
    Group.objects.create(name="before")
    monkeypatch.setattr(type(group_admin), "get_object", rename)

    assert any("changed something" in line for line in state_changing_gets(administrator, Group, group_admin))


def test_the_walk_reaches_the_addresses_of_our_verbs(db):
    row = a_row(Integration)

    found = addresses(Integration, admin.site._registry[Integration], row)

    for verb in ("initialize", "discard", "pause", "resume", "disconnect", "progress"):
        assert reverse(f"admin:integrations_integration_{verb}", args=[row.pk]) in found
    assert reverse("admin:integrations_integration_configure") in found


@pytest.mark.parametrize("model", ADMINISTRATION, ids=lambda model: model._meta.label)
def test_users_groups_and_jobs_are_for_administrators_only(administrator, model):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    clerk = Client()
    clerk.force_login(user)
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

    assert administrator.get(url).status_code == 200
    assert clerk.get(url).status_code == 403
    assert clerk.post(url, {"action": "delete_selected"}).status_code == 403
