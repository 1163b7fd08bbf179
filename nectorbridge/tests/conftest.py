"""Which tests this database has, and what journeys share."""

from __future__ import annotations

import pytest
from django.conf import settings

from nectorbridge.testing.installation import STORE
from nectorbridge.testing.parts import postgres_missing, redis_missing

collect_ignore = [] if "sqlite" in settings.DATABASES["default"]["ENGINE"] else ["test_plans.py"]


@pytest.fixture(params=list(STORE))
def store(request: pytest.FixtureRequest) -> str:
    """Each of the two kinds of installation, as far as this machine has its parts."""
    missing = request.param == "postgres" and (postgres_missing() or redis_missing())
    if missing:
        pytest.skip(missing)
    return str(request.param)
