"""The page behind an invitation's link: log in or set a password, and be in the staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model, login, password_validation
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminPasswordToggleWidget, UnfoldAdminTextInputWidget

from integrations import staff
from integrations.models import Invitation


class SignUpForm(forms.Form):
    """A name and a password, for an address that has no account."""

    name = forms.CharField(label=gettext_lazy("Your name"), max_length=150, widget=UnfoldAdminTextInputWidget())
    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        widget=UnfoldAdminPasswordToggleWidget(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html(),
    )
    again = forms.CharField(
        label=gettext_lazy("Password again"),
        strip=False,
        widget=UnfoldAdminPasswordToggleWidget(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str = "", **kwargs: Any) -> None:
        """Know the address, of which a password must not be a copy."""
        super().__init__(*args, **kwargs)
        self.user = get_user_model()(email=email)

    def clean(self) -> dict[str, Any]:
        """Refuse a password that is weak, or was typed differently."""
        cleaned = super().clean() or {}
        password = cleaned.get("password", "")
        if password and password != cleaned.get("again"):
            self.add_error("again", _("The two passwords are not the same."))
        elif password:
            try:
                password_validation.validate_password(password, self.user)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class JoinView(View):
    """GET tells what one is invited to and changes nothing; POST joins, with the account that is logged in or a new one."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Show the page."""
        return self._page(request, token, staff.find(token), SignUpForm())

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Join."""
        invitation = staff.find(token)
        if invitation is None:
            return self._page(request, token, None, SignUpForm())
        user: Any = request.user
        if user.is_authenticated:
            if not staff.join(invitation, user):
                return self._page(request, token, None, SignUpForm())
            return self._welcome(request, invitation)
        form = SignUpForm(request.POST, email=invitation.email)
        if not form.is_valid():
            return self._page(request, token, invitation, form)
        created = staff.sign_up(invitation, form.cleaned_data["name"], form.cleaned_data["password"])
        if created is None:
            return self._page(request, token, staff.find(token), SignUpForm())
        login(request, created, backend="django.contrib.auth.backends.ModelBackend")
        return self._welcome(request, invitation)

    def _welcome(self, request: HttpRequest, invitation: Invitation) -> HttpResponse:
        """Lead home."""
        messages.success(request, _("Welcome to %(merchant)s.") % {"merchant": invitation.merchant})
        return HttpResponseRedirect(reverse("admin:index"))

    def _page(self, request: HttpRequest, token: str, invitation: Invitation | None, form: SignUpForm) -> HttpResponse:
        """Return the page; the same one for a link that is over, used, or was never ours."""
        login_url = f"{reverse('admin:login')}?{urlencode({'next': request.path})}"
        context = admin.site.each_context(request) | {
            "title": _("Join the staff"),
            "invitation": invitation,
            "has_account": invitation is not None and staff.account_of(invitation),
            "form": form,
            "login_url": login_url,
        }
        response = TemplateResponse(request, "integrations/join.html", context, status=200 if invitation else 404)
        # The address is a secret, so no other server is told it. Told to nobody, browsers would post the form from “null”, as
        # if it came from elsewhere, and it would be refused.
        response.headers["Referrer-Policy"] = "same-origin"
        return response


join_view = JoinView.as_view()
