"""Two pages for load balancers and service managers: is the process up, and can it do its work?"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

CANARY_FRESH = timedelta(seconds=30)
REDIS_TIMEOUT_SECONDS = 2.0
OK = "ok"
NOT_CACHED = {"Cache-Control": "no-store"}


def readiness() -> dict[str, str]:
    """Return each part the work depends on with "ok" or a short reason. No secrets: anyone may read it."""
    return {"database": _database(), "queue": _queue(), "worker": _worker()}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as this process answers at all; nothing else is touched."""
    return HttpResponse(OK, content_type="text/plain", headers=NOT_CACHED)


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if everything is there that deliveries need, 503 if not, and say what is missing."""
    parts = readiness()
    ready = all(state == OK for state in parts.values())
    return JsonResponse(parts, status=200 if ready else 503, headers=NOT_CACHED)


urlpatterns = [path("healthz", healthz, name="healthz"), path("readyz", readyz, name="readyz")]


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except AnyDatabaseError:
        return "unreachable"
    return OK


def _queue() -> str:
    url = settings.Q_CLUSTER.get("redis")
    if url:
        return _redis(url)
    from django_q.models import OrmQ

    try:
        OrmQ.objects.exists()
    except AnyDatabaseError:
        return "unreachable"
    return OK


def _redis(url: str) -> str:
    from redis import Redis, RedisError

    try:
        with Redis.from_url(url, socket_connect_timeout=REDIS_TIMEOUT_SECONDS, socket_timeout=REDIS_TIMEOUT_SECONDS) as client:
            client.ping()
    except (RedisError, ValueError):
        return "unreachable"
    return OK


def _worker() -> str:
    from events.models import Worker

    try:
        alive = Worker.objects.filter(canary_at__gte=timezone.now() - CANARY_FRESH).exists()
    except AnyDatabaseError:
        return "unknown"
    return OK if alive else f"no worker has proved itself within {CANARY_FRESH.seconds} s"
