"""The product's icon at the address where browsers look for one by themselves, for pages that name none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

FILE = Path(__file__).resolve().parent / "static" / "nectorbridge" / "favicon.svg"
DAY = "public, max-age=86400"


@cache
def _drawing() -> bytes:
    """Return the icon, read once."""
    return FILE.read_bytes()


@require_safe
def icon(request: HttpRequest) -> HttpResponse:
    """Answer with the icon. Browsers go by the type, not by the name, and every one that is kept up to date draws SVG."""
    return HttpResponse(_drawing(), content_type="image/svg+xml", headers={"Cache-Control": DAY})


urlpatterns = [path("favicon.ico", icon)]
