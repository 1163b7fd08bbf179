"""A second throw-away database beside the first, for what is measured in a small and in a big one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections

from nectorbridge.bench.home import SECOND, administer


def use(wrapper: Any) -> None:
    """Have everything happen in this database from now on."""
    connections[DEFAULT_DB_ALIAS] = wrapper


@contextmanager
def two_databases() -> Iterator[tuple[Any, Any]]:
    """Yield the connections to the present database and to an empty one of the same kind; the present one is in use after it."""
    first = connections[DEFAULT_DB_ALIAS]
    second = connections.create_connection(DEFAULT_DB_ALIAS)
    second.settings_dict = {**first.settings_dict, "NAME": f"{first.settings_dict['NAME']}{SECOND}"}
    name = str(second.settings_dict["NAME"])
    try:
        if first.vendor == "postgresql":
            administer("CREATE DATABASE {}", name)
            use(second)
            call_command("migrate", interactive=False, verbosity=0)
            use(first)
        else:  # nothing is in it yet but its tables
            with first.cursor() as cursor:
                cursor.execute("VACUUM INTO %s", [name])
        yield first, second
    finally:
        use(first)
        second.close()
