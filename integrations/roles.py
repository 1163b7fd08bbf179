"""What each role may do: a group per role holds model permissions, and a membership says at which merchant they count.

Nobody is put into these groups. A member of staff has a role for each merchant (`Membership`), and what the role's group
holds counts for that merchant's rows and for no other's. Administrators may take permissions from a group; more than an
admin class lists in `staff_may` no group can give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import Group
from django.db import connections
from django.db.models import Model

from integrations.models import Membership, Merchant, Role

WRITING_ROLES = (Role.OWNER, Role.MANAGER)
GROUPS = {Role.OWNER: "Owner", Role.MANAGER: "Manager", Role.VIEWER: "Viewer"}  # stored names: they are not translated
Grants = Mapping[str, Iterable[str]]  # model (lower case): verbs


def roles_of(user: Any) -> dict[int, str]:
    """Return the user's role by merchant, read once: a request asks for it dozens of times."""
    if not hasattr(user, "_roles_by_merchant"):
        user._roles_by_merchant = dict(Membership.objects.filter(user=user).values_list("merchant", "role"))
    roles: dict[int, str] = user._roles_by_merchant
    return roles


def work_within(user: Any, merchant_id: int | None) -> int | None:
    """Narrow what this user sees to one merchant, for as long as a request lasts; None: no more. Returns what it was."""
    before: int | None = within(user)
    user._works_within = merchant_id
    return before


def within(user: Any) -> int | None:
    """Return the key of the merchant that the user works in, None for all."""
    found: int | None = getattr(user, "_works_within", None)
    return found


def sees_all(user: Any) -> bool:
    """Tell whether this is an administrator who looks at all merchants."""
    return bool(user.is_superuser) and within(user) is None


def present_roles(user: Any) -> dict[int, str]:
    """Return the user's role by merchant, as far as they work there now."""
    chosen = within(user)
    return {pk: role for pk, role in roles_of(user).items() if chosen in (None, pk)}


def keys_with(user: Any, permission: str) -> list[int]:
    """Return the keys of the merchants at which the user's role holds a permission, such as “events.view_eventdelivery”."""
    if not user.is_active or not user.is_staff or not roles_of(user):
        return []
    held = _held(user)
    return sorted(pk for pk, role in present_roles(user).items() if permission in held.get(role, ()))


def _held(user: Any) -> dict[str, set[str]]:
    """Return the permissions of the roles that the user has anywhere, read once."""
    if not hasattr(user, "_permissions_by_role"):
        names = {GROUPS[Role(role)]: role for role in set(roles_of(user).values())}
        found: dict[str, set[str]] = {role: set() for role in names.values()}
        rows = Group.objects.filter(name__in=names, permissions__isnull=False)
        for name, label, codename in rows.values_list("name", "permissions__content_type__app_label", "permissions__codename"):
            found[names[name]].add(f"{label}.{codename}")
        user._permissions_by_role = found
    held: dict[str, set[str]] = user._permissions_by_role
    return held


def path_of(model: Any) -> str:
    """Return the lookup from a model to its merchant, as its admin declares it; empty where it belongs to none."""
    from django.contrib import admin

    return "pk" if model is Merchant else getattr(admin.site._registry.get(model), "merchant_path", "")


class RoleBackend(BaseBackend):
    """Answers `user.has_perm` by roles: without a row “at some merchant”, with a row “at the merchant it belongs to”."""

    def has_perm(self, user_obj: Any, perm: str, obj: Model | None = None) -> bool:
        """Tell whether a role of the user's holds the permission."""
        if user_obj.is_anonymous:
            return False
        keys = keys_with(user_obj, perm)
        if obj is None or not keys:
            return bool(keys)
        path = path_of(type(obj))
        return bool(path) and type(obj)._default_manager.filter(pk=obj.pk, **{f"{path}__in": keys}).exists()


# --- The groups ----------------------------------------------------------------------------------------------------------
def grant(apps: Any, app_label: str, grants: Mapping[str, Grants], alias: str = "default") -> None:
    """Give the groups of roles permissions for an app's models. For migrations, in which permissions do not exist yet."""
    group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    type_model = apps.get_model("contenttypes", "ContentType")
    for role, models in grants.items():
        group, _made = group_model.objects.using(alias).get_or_create(name=GROUPS[Role(role)])
        for model, verbs in models.items():
            words = apps.get_model(app_label, model)._meta.verbose_name_raw
            kind, _made = type_model.objects.using(alias).get_or_create(app_label=app_label, model=model)
            for verb in verbs:
                wanted = {"content_type": kind, "codename": f"{verb}_{model}", "defaults": {"name": f"Can {verb} {words}"}}
                permission, _made = permission_model.objects.using(alias).get_or_create(**wanted)
                group.permissions.add(permission)


def declared() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Return what the registered admins declare: by app and role, the verbs for each model."""
    from django.contrib import admin

    from integrations.scope import ScopedAdmin

    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, ScopedAdmin):
            label, name = model._meta.app_label, str(model._meta.model_name)
            for role in model_admin.staff_roles:
                verbs = model_admin.staff_may if role in WRITING_ROLES else model_admin.staff_may & {"view"}
                found.setdefault(label, {}).setdefault(role, {})[name] = sorted(verbs)
    return found


def restore(using: str = "default", **_kwargs: Any) -> None:
    """After migrations: make the groups that are missing, as in a flushed database. Those that exist stay as they are."""
    if Group._meta.db_table not in connections[using].introspection.table_names():
        return
    wanted = {role.value for role, name in GROUPS.items() if not Group.objects.using(using).filter(name=name).exists()}
    for label, grants in declared().items() if wanted else ():
        grant(installed, label, {role: models for role, models in grants.items() if role in wanted}, using)
