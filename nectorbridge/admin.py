"""Users, groups and background jobs in the admin's own look, for administrators only."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from integrations.admin.empty import EmptyList
from integrations.audit import Audited
from integrations.scope import AdministratorsOnly


class BridgeUserAdmin(EmptyList, Audited, AdministratorsOnly, UserAdmin, ModelAdmin):
    """Users."""

    empty_icon = "person"
    empty_title = gettext_lazy("No users yet")
    empty_text = gettext_lazy("Staff of a merchant come by invitation. Add an administrator here.")
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


class BridgeGroupAdmin(EmptyList, Audited, AdministratorsOnly, GroupAdmin, ModelAdmin):
    """Groups."""

    empty_icon = "groups"
    empty_title = gettext_lazy("No groups yet")
    empty_text = gettext_lazy("The groups of the roles come back with the next migrate; others are yours to add.")


class JobList(EmptyList):
    """A list of background jobs, which nobody adds by hand."""

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the workers."""
        return reverse("queue_health"), _("Queue health")


class BridgeSuccessAdmin(JobList, AdministratorsOnly, ModelAdmin, TaskAdmin):
    """Background jobs that are done."""

    empty_icon = "schedule"
    empty_title = gettext_lazy("No background job was done yet")
    empty_text = gettext_lazy("The worker notes its jobs here. Queue health says whether one is running.")


class BridgeFailureAdmin(JobList, AdministratorsOnly, ModelAdmin, FailAdmin):
    """Background jobs that failed."""

    empty_icon = "task_alt"
    empty_title = gettext_lazy("No background job has failed")
    empty_text = gettext_lazy("Nothing to do. One that fails is listed here with its error, and can be queued again.")


class BridgeScheduleAdmin(EmptyList, AdministratorsOnly, ModelAdmin, ScheduleAdmin):
    """Background jobs that repeat."""

    empty_icon = "event_repeat"
    empty_title = gettext_lazy("Nothing is planned")
    empty_text = gettext_lazy("The worker plans its own rounds when it starts. Start one: manage.py worker")


class BridgeQueueAdmin(JobList, AdministratorsOnly, ModelAdmin, QueueAdmin):
    """Background jobs that wait, where the database is the broker."""

    empty_icon = "hourglass_empty"
    empty_title = gettext_lazy("No background job waits")
    empty_text = gettext_lazy("Nothing to do. What is asked for is listed here until a worker takes it.")


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
