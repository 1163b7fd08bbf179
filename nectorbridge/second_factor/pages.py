"""The pages of the second factor: set it up, show a code, new recovery codes, and resetting somebody else's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from integrations.fields import SecretUnreadable
from nectorbridge.models import SecondFactor
from nectorbridge.second_factor import codes, people
from nectorbridge.second_factor.gate import Standing, is_required, is_required_of_administrator, passed, standing

TEMPLATE, STAFF_TEMPLATE = "nectorbridge/second_factor.html", "nectorbridge/second_factor_staff.html"


@sensitive_post_parameters()
@sensitive_variables()
def second_factor(request: HttpRequest) -> HttpResponse:
    """GET: what there is to do. POST: begin, confirm, show a code, new recovery codes, remove."""
    user_id = int(request.user.pk or 0)
    factor = SecondFactor.objects.filter(user_id=user_id).select_related("user").first()
    where = standing(request.user, request.session)
    if request.method != "POST":
        return _page(request, factor, where)
    verb, code = request.POST.get("verb", ""), request.POST.get("code", "")
    if verb == "begin" and not (factor and factor.confirmed):
        return _page(request, codes.begin(user_id), where)
    if verb == "confirm" and factor and not factor.confirmed:
        return _confirm(request, factor, where, code)
    if verb == "show" and factor and where is Standing.SHOW:
        return _show(request, factor, where, code)
    if factor and factor.confirmed and where is Standing.FREE and verb in ("codes", "remove"):
        return _change(request, factor, where, verb, code)
    return _page(request, factor, where)


def _confirm(request: HttpRequest, factor: SecondFactor, where: Standing, code: str) -> HttpResponse:
    """Have the app count from now on; show the recovery codes this once."""
    try:
        recovery = codes.confirm(factor, code)
    except SecretUnreadable:
        return _page(request, codes.begin(int(factor.user_id)), where)
    if recovery is None:
        return _page(request, factor, where, wrong=_refusal(factor))
    passed(request, factor)
    people.note(request, factor.user, _("Set up a second factor."))
    factor.refresh_from_db()
    return _page(request, factor, Standing.FREE, recovery=recovery)


def _show(request: HttpRequest, factor: SecondFactor, where: Standing, code: str) -> HttpResponse:
    """Let in whoever shows a code."""
    try:
        is_taken = codes.takes(factor, code)
    except SecretUnreadable:
        words = _("The stored key cannot be read. Use a recovery code, or ask an owner or an administrator to reset it.")
        return _page(request, factor, where, wrong=words)
    if not is_taken:
        return _page(request, factor, where, wrong=_refusal(factor))
    passed(request, factor)
    return HttpResponseRedirect(_following(request))


def _change(request: HttpRequest, factor: SecondFactor, where: Standing, verb: str, code: str) -> HttpResponse:
    """Make new recovery codes, or remove the app; both need a code, so that an open browser is not enough."""
    if verb == "remove" and is_required(request.user):
        return _page(request, factor, where, wrong=_stays(request))
    try:
        is_taken = codes.takes(factor, code)
    except SecretUnreadable:
        is_taken = False
    if not is_taken:
        return _page(request, factor, where, wrong=_refusal(factor))
    if verb == "codes":
        people.note(request, factor.user, _("Made new recovery codes."))
        return _page(request, factor, where, recovery=codes.new_recovery_codes(factor))
    people.note(request, factor.user, _("Removed the second factor."))
    factor.delete()
    messages.success(request, _("Your second factor was removed."))
    return HttpResponseRedirect(reverse("second_factor"))


def _stays(request: HttpRequest) -> str:
    """Return why the app is not removed."""
    if is_required_of_administrator(bool(getattr(request.user, "is_superuser", False))):
        return _("It is required of administrators, so it cannot be removed.")
    return _("One of your merchants requires it, so it cannot be removed.")


def _refusal(factor: SecondFactor) -> str:
    """Return why a code was not taken."""
    factor.refresh_from_db()
    until = codes.waits_until(factor)
    seconds = max(1, round((until - timezone.now()).total_seconds())) if until else 0
    if seconds > 1:
        return _("That code was not taken. Wait %(seconds)d seconds, then enter the next one.") % {"seconds": seconds}
    return _("That code was not taken. Enter the one that the app shows now.")


def _following(request: HttpRequest) -> str:
    """Return where the person wanted to go, if that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return wanted if wanted and is_ours else reverse("admin:index")


@sensitive_variables()
def _page(request: HttpRequest, factor: SecondFactor | None, where: Standing, **more: Any) -> HttpResponse:
    """Return the page. The key is on it only until a code of it was entered."""
    context = {
        **admin.site.each_context(request),
        "title": _("Second factor"),
        "factor": factor,
        "is_enrolled": bool(factor and factor.confirmed),
        "must_show": where is Standing.SHOW,
        "must_enrol": where is Standing.ENROL,
        "is_required": is_required(request.user),
        "of_administrators": is_required_of_administrator(bool(getattr(request.user, "is_superuser", False))),
        "next": _following(request),
        "may_reset": people.may_reset_some(request.user),
        "codes_left": factor.recovery_codes.count() if factor else 0,
        **more,
    }
    if factor and not factor.confirmed:
        try:
            context |= {"picture": codes.picture(factor), "key": codes.key_text(factor)}
        except SecretUnreadable:
            context["factor"] = None  # begin anew
    return TemplateResponse(request, TEMPLATE, context)


def staff(request: HttpRequest) -> HttpResponse:
    """GET: whose second factor this person may reset. POST: reset one."""
    if not people.may_reset_some(request.user):
        raise PermissionDenied
    rows = people.resettable(request.user)
    if request.method == "POST":
        wanted = request.POST.get("user", "")
        person = rows.filter(pk=wanted).first() if wanted.isdecimal() and len(wanted) < 19 else None
        if person is None:
            raise PermissionDenied
        people.reset(request, person)
        messages.success(request, _("%(name)s logs in with the password alone until a new app is set up.") % {"name": person})
        return HttpResponseRedirect(reverse("second_factor_staff"))
    enrolled = set(SecondFactor.objects.filter(confirmed=True, user__in=rows).values_list("user_id", flat=True))
    shown = [(person, person.pk in enrolled) for person in rows.order_by(get_user_model().USERNAME_FIELD)]
    context = {**admin.site.each_context(request), "title": _("Second factors of staff"), "people": shown}
    return TemplateResponse(request, STAFF_TEMPLATE, context)


urlpatterns = [
    path("admin/second-factor/", admin.site.admin_view(second_factor), name="second_factor"),
    path("admin/second-factor/staff/", admin.site.admin_view(staff), name="second_factor_staff"),
]
