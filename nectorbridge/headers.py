"""What every answer tells browsers: where scripts, styles and pictures may come from, and what the page may ask of the machine.

Two policies, each a text made once: this runs at every click and open that customers make, so it costs a microsecond there.
Pages of the admin need `unsafe-eval` (the theme's Alpine.js) and inline styles (the theme's and its charts'); no page anywhere
may run inline scripts, and nothing comes from another server.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

POLICY = "Content-Security-Policy"
PERMISSIONS = "Permissions-Policy"
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
ADMIN = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
REFUSED = ("camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment", "usb")
PERMITTED = ", ".join(f"{name}=()" for name in REFUSED)
DEBUG_PAGES = (404, 500)  # Django's own with DEBUG, which have their scripts and styles inside


def public_policy() -> str:
    """Return the policy of everything but the admin: nothing at all, but for the one style that is inside the error pages."""
    source = (Path(settings.BASE_DIR) / "templates" / "error.html").read_text()
    styles = [hashlib.sha256(found.encode()).digest() for found in re.findall(r"<style>(.*?)</style>", source, re.DOTALL)]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in styles)
    return f"{NOTHING}; style-src {allowed}" if allowed else NOTHING


class HeadersMiddleware:
    """Puts the policies on every answer that has none of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Make the texts."""
        self._get_response = get_response
        self._public = public_policy()
        self._admin_path = reverse("admin:index")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, and add the headers."""
        response = self._get_response(request)
        headers = response.headers
        if POLICY not in headers and not (settings.DEBUG and response.status_code in DEBUG_PAGES):
            headers[POLICY] = ADMIN if request.path_info.startswith(self._admin_path) else self._public
        headers[PERMISSIONS] = PERMITTED
        return response
