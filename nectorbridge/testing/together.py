"""Many at once, as a web server's threads are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections


def at_once(act: Callable[[Any], object], values: Iterable[Any]) -> None:
    """Call `act` with each value, each in a thread and on a connection of its own. Raises the first error that one raised."""
    errors: list[BaseException] = []

    def run(value: Any) -> None:
        try:
            act(value)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[value]) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
