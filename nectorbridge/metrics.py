"""`/metrics`: the installation's figures for Prometheus, for whoever holds METRICS_TOKEN, or for this machine alone."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from nectorbridge.metrics_families import DatabaseCollector

# What a proxy adds. Behind one on this machine everybody has a loopback address; who adds one by hand only shuts himself out.
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_VIA")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

registry = CollectorRegistry()
registry.register(DatabaseCollector())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with every family, in the format that the scraper asks for (Prometheus text or OpenMetrics).

    401 without the token where one is set; 403 from elsewhere than this machine where none is.
    """
    if not is_allowed(request):
        if settings.METRICS_TOKEN:
            return HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
        return HttpResponse("Without METRICS_TOKEN only this machine may ask.\n", status=403, content_type="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type, headers=HEADERS)


def is_allowed(request: HttpRequest) -> bool:
    """Tell whether this request may read the metrics."""
    if settings.METRICS_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    if any(name in request.META for name in FORWARDED):
        return False
    return is_loopback(request.META.get("REMOTE_ADDR", ""))


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own; also one of IPv4 written as IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


urlpatterns = [path("metrics", metrics, name="metrics")]
