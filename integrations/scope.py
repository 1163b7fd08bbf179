"""Who may see what: every admin of merchant-owned rows inherits `ScopedAdmin`, which denies by default.

Administrators (superusers) see all. Staff see the rows of the merchants they are members of; what they may do there
follows from their role at that merchant: the role's group must hold the model's permission (`integrations.roles`), and the
admin class must list the verb in `staff_may`.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from unfold.admin import ModelAdmin, StackedInline, TabularInline

from integrations.audit import Audited
from integrations.models import Merchant, Role
from integrations.roles import WRITING_ROLES, keys_with, path_of, present_roles, sees_all, within


def merchants_of(user: Any) -> QuerySet[Merchant]:
    """Return the merchants whose rows this user may see."""
    if not user.is_active or not user.is_staff:
        return Merchant.objects.none()
    return Merchant.objects.all() if sees_all(user) else Merchant.objects.filter(pk__in=merchant_keys(user))


def writable_merchants_of(user: Any) -> QuerySet[Merchant]:
    """Return the merchants whose rows this user may change."""
    if user.is_superuser or not has_role(user):
        return merchants_of(user)
    return Merchant.objects.filter(pk__in=[pk for pk, role in present_roles(user).items() if role in WRITING_ROLES])


def has_role(user: Any, *roles: str) -> bool:
    """Tell whether the user has one of these roles anywhere (any role, if none is named)."""
    if not user.is_active or not user.is_staff:
        return False
    return user.is_superuser or any(not roles or role in roles for role in present_roles(user).values())


def scoped(queryset: QuerySet[Any], user: Any, merchant_path: str, *, writing: bool = False) -> QuerySet[Any]:
    """Return the rows of `queryset` that belong to the user's merchants. `merchant_path` "pk": the merchants themselves."""
    if sees_all(user):
        return queryset
    return queryset.filter(**{f"{merchant_path}__in": merchant_keys(user, writing=writing)})


def merchant_keys(user: Any, *, writing: bool = False) -> list[int]:
    """Return the keys of a member's merchants, as values: with them a database knows which index leads to their rows."""
    if not user.is_active or not user.is_staff:
        return []
    if user.is_superuser:
        return [chosen] if (chosen := within(user)) is not None else list(Merchant.objects.values_list("pk", flat=True))
    return sorted(pk for pk, role in present_roles(user).items() if not writing or role in WRITING_ROLES)


class ScopeMixin:
    """Limits rows, permissions and choices of an admin or an inline to the user's merchants."""

    merchant_path: str = ""  # the lookup from this model to its merchant, for example "integration__merchant"
    staff_may: frozenset[str] = frozenset({"view"})  # of view, add, change, delete: what managers and owners get
    staff_roles: tuple[Role, ...] = tuple(Role)  # who sees it at all

    def _path(self) -> str:
        """Return the merchant path; a class that forgot it shows nothing at all."""
        if not self.merchant_path:
            raise ImproperlyConfigured(f"{type(self).__name__} must set merchant_path")
        return self.merchant_path

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return only rows of merchants at which the user may look at this model."""
        rows, path = super().get_queryset(request), self._path()  # type: ignore[misc]
        user: Any = request.user
        if sees_all(user):
            return rows
        keys = merchant_keys(user) if user.is_superuser else self._keys(request, "view")
        return rows.filter(**{f"{path}__in": keys})

    def _keys(self, request: HttpRequest, verb: str) -> list[int]:
        """Return the keys of the merchants at which the user may do that to this model's rows."""
        meta = self.model._meta  # type: ignore[attr-defined]
        return keys_with(request.user, f"{meta.app_label}.{verb}_{meta.model_name}")

    def _may(self, request: HttpRequest, verb: str, obj: Model | None) -> bool:
        """Tell whether the user may do that, in general or to this row."""
        user = request.user
        if getattr(user, "is_superuser", False):
            return True
        keys = self._keys(request, verb) if verb in self.staff_may else []
        if not keys or obj is None or obj.pk is None:
            return bool(keys)
        # An inline is asked about the row whose page it stands on.
        path = self._path() if isinstance(obj, self.model) else path_of(type(obj))  # type: ignore[attr-defined]
        return bool(path) and type(obj)._default_manager.filter(pk=obj.pk, **{f"{path}__in": keys}).exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to staff who may see anything in it."""
        return self._may(request, "view", None)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow looking, within the scope."""
        return self._may(request, "view", obj) or self._may(request, "change", obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow adding where the class lists it."""
        return self._may(request, "add", obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow changing where the class lists it, within the scope."""
        return self._may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow deleting where the class lists it, within the scope."""
        return self._may(request, "delete", obj)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only rows of the user's merchants as choices."""
        target = db_field.related_model
        if path := path_of(target):
            rows = kwargs.get("queryset", target._default_manager.all())
            if not getattr(request.user, "is_superuser", False):  # those merchants to whom a row like this may be added
                keys = self._keys(request, "add" if "add" in self.staff_may else "change")
                rows = rows.filter(**{f"{path}__in": keys})
            kwargs["queryset"] = scoped(rows, request.user, path, writing=True)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class ScopedAdmin(Audited, ScopeMixin, ModelAdmin):
    """The base of every admin of merchant-owned rows."""

    list_fullwidth = True
    compressed_fields = True
    show_full_result_count = False  # never a full count of a huge table

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Leave the number of rows to the foot of the list, which knows about “more than”."""
        changelist = super().get_changelist_instance(request)
        changelist.full_result_count = changelist.result_count
        return changelist


class ScopedTabularInline(ScopeMixin, TabularInline):
    """A table of rows inside another row's page, in scope like its admin."""

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        """Name each box by its column: a table's heading is no label to a screen reader."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and not field.widget.is_hidden:
            getattr(field.widget, "widget", field.widget).attrs["aria-label"] = capfirst(
                str(field.label or db_field.verbose_name)
            )
        return field


class ScopedStackedInline(ScopeMixin, StackedInline):
    """Rows inside another row's page, in scope like its admin."""


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """A list filter whose choices are rows of the user's merchants only."""

    def field_choices(self, field: Field, request: HttpRequest, model_admin: Any) -> Any:
        """Return the choices, within the scope."""
        target: Any = field.related_model
        path = "pk" if target is Merchant else model_admin.admin_site._registry[target].merchant_path
        rows = scoped(target._default_manager.all(), request.user, path)
        return [(row.pk, str(row)) for row in rows[:200]]


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


class NeverEdited:
    """Rows that nobody adds, changes or deletes by hand, administrators included: what wrote them looks after them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are made elsewhere."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They stay as they are."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are kept."""
        return False
