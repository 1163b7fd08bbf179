from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from events.models import Worker

ALL_WELL = {"database": "ok", "queue": "ok", "worker": "ok"}


@pytest.fixture
def live_worker(db):
    return Worker.objects.create(name="host:1", canary_at=timezone.now())


def test_healthz_answers_without_touching_the_database(client):
    response = client.get("/healthz")  # without the db fixture a query would fail
    assert (response.status_code, response.content) == (200, b"ok")
    assert not response.cookies
    assert response["Cache-Control"] == "no-store"


def test_readyz_is_200_when_a_worker_has_just_proved_itself(client, live_worker):
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, ALL_WELL)
    assert not response.cookies
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("canary_age", [None, timedelta(seconds=31)])
def test_readyz_is_503_when_no_canary_ran_lately(client, live_worker, canary_age):
    Worker.objects.update(canary_at=canary_age and timezone.now() - canary_age)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == ALL_WELL | {"worker": "no worker has proved itself within 30 s"}


def test_readyz_names_an_unreachable_database_and_gives_nothing_away(client, live_worker, settings):
    def refuse(*args, **kwargs):
        raise OperationalError('connection to "db.internal" failed for user "secret"')

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")
    assert response.status_code == 503
    queue = "ok" if settings.REDIS_URL else "unreachable"  # without Redis the queue is a table
    assert response.json() == {"database": "unreachable", "queue": queue, "worker": "unknown"}


def test_readyz_names_an_unreachable_redis(client, live_worker, settings):
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"redis": "redis://:secret@127.0.0.1:1/0"}
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == ALL_WELL | {"queue": "unreachable"}


@pytest.mark.parametrize("page", ["/healthz", "/readyz"])
def test_health_pages_only_read(client, db, page):
    assert client.post(page).status_code == 405
