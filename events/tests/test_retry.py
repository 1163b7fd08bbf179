"""The table of tries, and what providers ask for: never early, stored, and holds cost no try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import responses
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from events import record
from events.drain import drain
from events.flights import patience
from events.models import EventDelivery
from events.retry import LONGEST_RETRY_AFTER_SECONDS, next_try, next_uncertain_try, retry_after
from integrations.providers import all_providers
from integrations.providers.base import Outcome, Response
from integrations.tests.conformance import subject_of
from nectorbridge.testing import make

QUICK = settings(deadline=None, database=None)
T = datetime(2026, 3, 1, 10, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86_400
TABLE = [5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, *[DAY] * 8]


def test_the_usual_table_is_the_one_we_promise(settings):
    assert settings.DELIVERY_RETRY_STEPS == TABLE
    assert len(TABLE) + 1 == 18 and round(sum(TABLE) / DAY, 1) == 8.9


@QUICK
@given(st.integers(1, len(TABLE)), st.integers(0, 3_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_a_try_is_never_early_and_at_most_a_fifth_late(failures, now):
    again = next_try(failures, now)
    assert timedelta(seconds=TABLE[failures - 1]) <= again - now <= timedelta(seconds=TABLE[failures - 1] * 1.2)


@QUICK
@given(st.integers(len(TABLE) + 1, 1000))
def test_after_the_last_step_there_is_none(failures):
    assert next_try(failures, T) is None


@QUICK
@given(st.integers(1, 50), st.integers(0, 50))
def test_uncertain_resends_begin_with_the_second_step_and_end_with_their_budget(uncertain, budget):
    again = next_uncertain_try(uncertain, T, budget)
    assert (again is None) == (uncertain > budget)
    assert again is None or again - T >= timedelta(seconds=30)


@QUICK
@given(st.floats(0, 10 * DAY), st.sampled_from([429, 503]))
def test_retry_after_in_seconds_is_kept_to_the_second_up_to_a_day(seconds, status):
    assert retry_after(status, {"retry-after": repr(seconds)}, T) == min(seconds, LONGEST_RETRY_AFTER_SECONDS)


@QUICK
@given(st.integers(-DAY, 10 * DAY), st.sampled_from([429, 503]))
def test_retry_after_as_a_date_is_the_time_until_then(seconds, status):
    date = format_datetime(T + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(status, {"retry-after": date}, T) == min(max(seconds, 0), LONGEST_RETRY_AFTER_SECONDS)


@QUICK
@given(st.text(max_size=40))
def test_nothing_that_a_header_can_hold_breaks_it(text):
    found = retry_after(429, {"retry-after": text}, T)
    assert found is None or 0 <= found <= LONGEST_RETRY_AFTER_SECONDS


@pytest.mark.parametrize("status", [200, 400, 401, 500, 502, 504])
def test_other_answers_do_not_hold_an_integration(status):
    assert retry_after(status, {"retry-after": "60"}, T) is None


PROVIDERS = [pytest.param(provider, id=provider.slug) for provider in all_providers()]


def call_of(provider):
    """Return a call of this provider with one event in it."""
    subject = subject_of(provider)
    return subject.pack(subject.event("01900000-0000-7000-8000-000000000001")).calls[0]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("wait", ["90", format_datetime(T + timedelta(seconds=90), usegmt=True)], ids=["seconds", "date"])
def test_every_provider_is_left_alone_as_long_as_it_says(provider, status, wait):
    answer = Response(status, {"retry-after": wait}, "{}")
    reading = provider.read(call_of(provider), answer)
    assert reading.verdict.outcome is Outcome.TRANSIENT
    assert patience(answer, reading, T) == 90


@pytest.mark.django_db
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_a_hold_is_of_the_whole_integration_is_stored_and_uses_up_no_try(status, as_date):
    definition = make.definition()
    integration = definition.integration
    rows = [record(make.activity(integration.merchant, person=f"c{n}"))[0] for n in range(2)]
    now = timezone.now()
    wait = format_datetime(now + timedelta(seconds=121), usegmt=True) if as_date else "120"
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, status=status, headers={"Retry-After": wait}, json={})
        drain(integration.pk)
        (late,) = record(make.activity(integration.merchant, person="c9"))
        assert drain(integration.pk) == 0 and len(provider.calls) == 1
    integration.refresh_from_db()
    assert timedelta(seconds=119) <= integration.hold_until - now <= timedelta(seconds=120 * 1.2 + 5)
    stored = [EventDelivery.objects.get(pk=row.pk) for row in [*rows, late]]
    assert [(row.failure_count, row.uncertain_count) for row in stored] == [(0, 0)] * 3
    assert [row.status for row in stored] == ["retrying", "retrying", "queued"]


MOENGAGE = [
    pytest.param("90", 90, id="seconds left"),
    pytest.param(str(int(T.timestamp()) + 90), 90, id="a moment in epoch seconds"),
    pytest.param(str((int(T.timestamp()) + 90) * 1000), 90, id="a moment in milliseconds"),
]


@pytest.mark.parametrize(("reset", "seconds"), MOENGAGE)
def test_moengages_reset_means_seconds_left_or_a_moment(reset, seconds):
    (provider,) = [found for found in all_providers() if found.slug == "moengage"]
    answer = Response(429, {"x-ratelimit-reset": reset, "date": format_datetime(T, usegmt=True)}, "{}")
    reading = provider.read(call_of(provider), answer)
    assert patience(answer, reading, T) == seconds
