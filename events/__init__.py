"""What happened, what was sent, what came of it: the outbox.

`from events import Activity, record, record_many` works before Django's apps are loaded: the names are looked up when
they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from events.activity import Activity
    from events.recorder import record, record_many

__all__ = ["Activity", "record", "record_many"]


def __getattr__(name: str) -> Any:
    """Import the public names lazily."""
    if name not in __all__:
        raise AttributeError(f"module 'events' has no attribute {name!r}")
    module = import_module("events.activity" if name == "Activity" else "events.recorder")
    globals()[name] = getattr(module, name)  # the next look-up costs nothing
    return globals()[name]
