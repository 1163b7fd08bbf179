"""Users, groups and background jobs in the admin's own look, for administrators only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from integrations.audit import Audited


class AdministratorsOnly:
    """Lets superusers in and nobody else, whatever permissions a user or group was given."""

    def _allowed(self, request: HttpRequest) -> bool:
        """Tell whether this is an administrator."""
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to administrators."""
        return self._allowed(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let administrators look."""
        return self._allowed(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let administrators add, where the admin allows adding at all."""
        return self._allowed(request) and bool(super().has_add_permission(request))  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let administrators change."""
        return self._allowed(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let administrators delete."""
        return self._allowed(request)


class BridgeUserAdmin(Audited, AdministratorsOnly, UserAdmin, ModelAdmin):
    """Users."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


class BridgeGroupAdmin(Audited, AdministratorsOnly, GroupAdmin, ModelAdmin):
    """Groups."""


class BridgeSuccessAdmin(AdministratorsOnly, ModelAdmin, TaskAdmin):
    """Background jobs that are done."""


class BridgeFailureAdmin(AdministratorsOnly, ModelAdmin, FailAdmin):
    """Background jobs that failed."""


class BridgeScheduleAdmin(AdministratorsOnly, ModelAdmin, ScheduleAdmin):
    """Background jobs that repeat."""


class BridgeQueueAdmin(AdministratorsOnly, ModelAdmin, QueueAdmin):
    """Background jobs that wait, where the database is the broker."""


OURS = {
    User: BridgeUserAdmin,
    Group: BridgeGroupAdmin,
    Success: BridgeSuccessAdmin,
    Failure: BridgeFailureAdmin,
    Schedule: BridgeScheduleAdmin,
    OrmQ: BridgeQueueAdmin,
}

for model, model_admin in OURS.items():
    if admin.site.is_registered(model):  # the queue's is not where Redis is the broker
        admin.site.unregister(model)
        admin.site.register(model, model_admin)
