"""What error pages and error mails may show: where it broke, and nothing of what was in hand there, with DEBUG on or off.

Django hides what a decorator names, and with DEBUG on nothing at all. Credentials pass through functions of our own, Django's and
other libraries', so here the rule is the other way round: a variable shows its kind, a form nothing, a header if it is listed.
"""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.http import HttpRequest
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from nectorbridge.logs import clean, words_of

SHOWN_KINDS = (bool, int, float, type(None))
# Mistakes in programs and templates: their words name names, and quote no value.
NAMES_ONLY = (NameError, AttributeError, ImportError, TemplateSyntaxError, TemplateDoesNotExist, FieldError, FieldDoesNotExist)
SHOWN_HEADERS = frozenset(("HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "HTTP_HOST", "HTTP_USER_AGENT", "HTTP_X_FORWARDED_PROTO"))
SHOWN_META = SHOWN_HEADERS | {"CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "REMOTE_ADDR", "REQUEST_METHOD", "SERVER_NAME"}


def kind_of(value: Any) -> str:
    """Return what may be said of a variable: a number itself, of anything else what it is, and its size."""
    if isinstance(value, SHOWN_KINDS):
        return repr(value)
    name = type(value).__qualname__
    return f"<{name} of {len(value)}>" if isinstance(value, (str, bytes, list, tuple, dict, set)) else f"<{name}>"


class NothingInHand(SafeExceptionReporterFilter):
    """Hides values whatever DEBUG says."""

    # Django's own words, and ours whose values hold a password without saying so.
    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|DATABASES|CACHES|CLUSTER|REDIS|LOCATION|EMAIL", flags=re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        """Hide always."""
        return True

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        """Return the headers that are listed. Some servers put the whole environment among the others."""
        return {name: value for name, value in request.META.items() if name in SHOWN_META} if hasattr(request, "META") else {}

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        """Return the names of cookies."""
        return dict.fromkeys(getattr(request, "COOKIES", {}), self.cleansed_substitute)

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        """Return the names of what was posted."""
        if request is None:
            return {}
        hidden = request.POST.copy()
        for name in hidden:
            hidden[name] = self.cleansed_substitute
        return hidden

    def cleanse_special_types(self, request: HttpRequest | None, value: Any) -> Any:
        """Return the kind of a value."""
        return kind_of(value)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """Return the names of a function's variables, each with its kind."""
        return [(name, kind_of(value)) for name, value in tb_frame.f_locals.items()]


class WithheldWords(ExceptionReporter):
    """Leaves out an exception's own words where they may quote what was in hand; kind and place say what a programmer needs."""

    def get_traceback_data(self) -> dict[str, Any]:
        """Return the data of the page, without what may quote."""
        data = super().get_traceback_data() | {"unicode_hint": ""}
        data.pop("exception_notes", None)
        if self.exc_value is not None:
            names = isinstance(self.exc_value, NAMES_ONLY)
            data["exception_value"] = clean(str(self.exc_value)) if names else words_of(self.exc_value)
        if self.request is not None:
            data["request_GET_items"] = [(name, self.filter.cleansed_substitute) for name in self.request.GET]
            data["request_insecure_uri"] = clean(str(data.get("request_insecure_uri") or ""))
        for frame in data["frames"]:
            if frame.get("exc_cause") is not None:
                frame["exc_cause"] = type(frame["exc_cause"]).__name__
        return data
