"""What a process found within the last second: a door that is asked a thousand times a second asks the database once.

Other processes learn of a change a second later; the one that makes it, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db.models import Model
from django.db.models.signals import post_delete, post_save

Key = TypeVar("Key")
Found = TypeVar("Found")
SECONDS = 1.0
MOST = 1000


class Lately(Generic[Key, Found]):
    """Looks up by key, and remembers for a second what was there. What was not there is looked for each time."""

    def __init__(self, look_up: Callable[[Key], Found | None], *models: type[Model]) -> None:
        """Forget everything as soon as a row of these models is saved or deleted in this process."""
        self._look_up = look_up
        self._kept: dict[Key, tuple[float, Found]] = {}
        for model in models:
            post_save.connect(self.forget, sender=model)
            post_delete.connect(self.forget, sender=model)

    def find(self, key: Key) -> Found | None:
        """Return what is there, at most a second old. Raises what `look_up` raises."""
        now, kept = time.monotonic(), self._kept.get(key)
        if kept is not None and now - kept[0] < SECONDS:
            return kept[1]
        found = self._look_up(key)
        if found is not None:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = now, found
        return found

    def forget(self, *_args: Any, **_kwargs: Any) -> None:
        """Forget everything."""
        self._kept.clear()
