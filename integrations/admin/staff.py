"""Staff and invitations: an owner's pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.decorators import action, display

from integrations import staff
from integrations.admin.empty import EmptyList
from integrations.admin.join import join_view
from integrations.models import Invitation, Membership, Role
from integrations.scope import ScopedAdmin

SEND_DIALOG = {
    "title": gettext_lazy("Send the invitation again?"),
    "description": gettext_lazy("The mail has a new link, valid for seven days. The link in the former mail no longer works."),
    "form_submit_text": gettext_lazy("Send again"),
}


class OwnersOnly(EmptyList, ScopedAdmin):
    """Pages that managers and viewers do not see."""

    merchant_path = "merchant"
    staff_roles = (Role.OWNER,)
    list_select_related: Any = ("merchant",)
    actions = None
    sortable_by = ()


class RoleForm(ModelForm):
    """The role of a member of staff."""

    class Meta:
        model = Membership
        fields = ("role",)

    def clean_role(self) -> str:
        """Keep the last owner."""
        role: str = self.cleaned_data["role"]
        if role != Role.OWNER and staff.is_last_owner(self.instance):
            self.add_error("role", staff.LAST_OWNER)
        return role


@admin.register(Membership)
class MembershipAdmin(OwnersOnly):
    """Who is in the staff. They come by invitation."""

    staff_may = frozenset({"view", "change", "delete"})
    notes_itself = True
    form = RoleForm
    list_display = ("who", "email", "role_word", "merchant", "last_seen")
    list_select_related = ("merchant", "user")
    search_fields = ("user__username", "user__email", "user__first_name", "user__last_name")
    search_help_text = gettext_lazy("Name or email")
    fields = ("who", "email", "merchant", "role", "last_seen")
    readonly_fields = ("who", "email", "merchant", "last_seen")
    actions_list = ("invite", "open_invitations")
    ordering = ("merchant__name", "user__username")
    empty_icon = "badge"
    empty_title = gettext_lazy("Nobody is in the staff yet")
    empty_text = gettext_lazy("Invite people by email. Each gets a link, and a role that says what they may do.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the form."""
        return (reverse("admin:integrations_invitation_add"), _("Invite")) if self.has_invite_permission(request) else None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody is added without their knowledge."""
        return False

    def has_invite_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Allow inviting to owners."""
        return bool(self.admin_site._registry[Invitation].has_add_permission(request))

    @display(description=gettext_lazy("who"))
    def who(self, membership: Membership) -> str:
        """Return the name."""
        return str(membership.user.get_full_name() or membership.user.get_username())

    @display(description=gettext_lazy("email"))
    def email(self, membership: Membership) -> str:
        """Return the address."""
        return membership.user.email or "-"

    @display(description=gettext_lazy("role"))
    def role_word(self, membership: Membership) -> str:
        """Return the role in a word."""
        return str(membership.get_role_display()).split(":")[0]

    @display(description=gettext_lazy("last log-in"))
    def last_seen(self, membership: Membership) -> str:
        """Return when they logged in last, in UTC."""
        at = membership.user.last_login
        return f"{date_format(timezone.localtime(at, timezone.get_default_timezone()), 'j M Y, H:i')} UTC" if at else _("never")

    @action(description=gettext_lazy("Invite"), permissions=["invite"], icon="person_add", url_path="invite")
    def invite(self, request: HttpRequest) -> HttpResponse:
        """Lead to the form."""
        return HttpResponseRedirect(reverse("admin:integrations_invitation_add"))

    @action(description=gettext_lazy("Invitations"), permissions=["invite"], icon="mail", url_path="invitations")
    def open_invitations(self, request: HttpRequest) -> HttpResponse:
        """Lead to what is open."""
        return HttpResponseRedirect(reverse("admin:integrations_invitation_changelist"))

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        """Change the role, under the lock that keeps an owner."""
        try:
            staff.change_role(obj, form.cleaned_data["role"])
        except staff.StaffError as error:  # another owner left at this moment
            messages.error(request, str(error))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Remove, or say why not."""
        membership = self.get_object(request, object_id)
        if membership is not None and self.has_delete_permission(request, membership) and staff.is_last_owner(membership):
            messages.error(request, staff.LAST_OWNER)
            return HttpResponseRedirect(reverse("admin:integrations_membership_change", args=[membership.pk]))
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        """Remove, under the lock that keeps an owner."""
        staff.remove(obj)


class InviteForm(ModelForm):
    """An address and a role."""

    class Meta:
        model = Invitation
        fields = ("merchant", "email", "role")
        help_texts = {"email": gettext_lazy("A mail with a link leaves as soon as you save. The link is valid for seven days.")}

    def _get_validation_exclusions(self) -> set[str]:
        """Let an open invitation of the same address be renewed."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | {"email"}


@admin.register(Invitation)
class InvitationAdmin(OwnersOnly):
    """Invitations, open and accepted. Deleting one withdraws it."""

    staff_may = frozenset({"view", "add", "delete"})
    form = InviteForm
    list_display = ("email", "role_word", "merchant", "invited_by", "state", "expires_at")
    list_select_related = ("merchant", "invited_by")
    search_fields = ("email",)
    search_help_text = gettext_lazy("Email")
    fields = ("merchant", "email", "role")
    actions_detail = ("send_again",)
    empty_icon = "mail"
    empty_title = gettext_lazy("Nobody was invited yet")
    empty_text = gettext_lazy("Invite people by email. The link in the mail works once, and for seven days.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the form."""
        return (reverse("admin:integrations_invitation_add"), _("Invite")) if self.has_add_permission(request) else None

    def get_urls(self) -> list[Any]:
        """Add the page behind the link, which is for whoever holds it."""
        return [path("join/<str:token>/", join_view, name="integrations_invitation_join"), *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An invitation is sent again or withdrawn, never rewritten."""
        return False

    def get_form(self, request: HttpRequest, obj: Invitation | None = None, **kwargs: Any) -> Any:
        """Offer merchants to choose from, and nothing to do with them."""
        form = super().get_form(request, obj, **kwargs)
        if "merchant" in form.base_fields:
            widget = form.base_fields["merchant"].widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return form

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> HttpResponse:
        """One button is enough."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Choose the only merchant there is."""
        mine = self._keys(request, "add")
        return ({"merchant": mine[0]} if len(mine) == 1 else {}) | super().get_changeform_initial_data(request)

    @display(description=gettext_lazy("role"))
    def role_word(self, invitation: Invitation) -> str:
        """Return the role in a word."""
        return str(invitation.get_role_display()).split(":")[0]

    @display(description=gettext_lazy("state"), label={"open": "info", "accepted": "success", "over": "warning"})
    def state(self, invitation: Invitation) -> tuple[str, Any]:
        """Return what became of it."""
        if invitation.accepted_at:
            return "accepted", _("accepted")
        return ("open", _("open")) if invitation.expires_at > timezone.now() else ("over", _("expired"))

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        """Invite. Says the same whether or not the address has an account."""
        try:
            found = staff.invite(obj.merchant, obj.email, obj.role, request.user)
        except staff.StaffError as error:
            messages.error(request, str(error))
            obj.is_sent = False  # type: ignore[attr-defined]
            found = Invitation.objects.filter(merchant=obj.merchant, email=obj.email.lower(), accepted_at=None).first() or obj
        obj.__dict__.update(found.__dict__)

    def log_addition(self, request: HttpRequest, obj: Invitation, message: Any) -> Any:
        """The invitation notes itself."""
        return super().log_addition(request, obj, gettext_noop("Invited.")) if obj.pk else None

    def response_add(self, request: HttpRequest, obj: Invitation, post_url_continue: str | None = None) -> HttpResponse:
        """Lead to the invitations."""
        if getattr(obj, "is_sent", True):
            messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": obj.email})
        return HttpResponseRedirect(reverse("admin:integrations_invitation_changelist"))

    def delete_model(self, request: HttpRequest, obj: Invitation) -> None:
        """Withdraw it: its link ends."""
        obj.delete()

    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow sending again to owners of this very merchant."""
        row = self._open(request, object_id).first()
        return row is not None and self.has_delete_permission(request, row)

    def _open(self, request: HttpRequest, object_id: Any) -> QuerySet[Invitation]:
        """Return the invitation with that key, if it is open and the user's."""
        rows = self.get_queryset(request).filter(accepted_at=None)
        return rows.filter(pk=object_id) if str(object_id).isdecimal() and len(str(object_id)) < 19 else rows.none()

    @action(
        description=gettext_lazy("Send again"), permissions=["send"], icon="forward_to_inbox", url_path="send", dialog=SEND_DIALOG
    )
    def send_again(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Send the mail again, with a new link."""
        invitation = self._open(request, object_id).get()
        try:
            staff.invite(invitation.merchant, invitation.email, invitation.role, request.user)
            messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": invitation.email})
        except staff.StaffError as error:
            messages.error(request, str(error))
        address = reverse("admin:integrations_invitation_changelist")
        is_dialog = bool(request.headers.get("HX-Request"))  # htmx posts those
        return HttpResponse(headers={"HX-Redirect": address}) if is_dialog else HttpResponseRedirect(address)
