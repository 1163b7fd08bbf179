"""Which tests this database has."""

from __future__ import annotations

from django.conf import settings

collect_ignore = [] if "sqlite" in settings.DATABASES["default"]["ENGINE"] else ["test_plans.py"]
