"""What came in through a door and is worked on later: rows with `state`, `tries`, `next_try_at` and `detail`.

A try is counted before it begins, so that a row that kills its worker is not tried for ever. What our own code fails on is
tried again, farther and farther apart, and then given up; it never keeps the others from being worked on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bell
from events.sql import rows_of

logger = logging.getLogger(__name__)


class CannotBeUsed(Exception):
    """A row that nothing can be made of. The message says why, for the page that lists them."""


@dataclass(frozen=True)
class Receipts:
    """One kind of rows. `owner` names the foreign key by which they are rung for; `apply(row)` does the work.

    `apply` writes what a row says and that it is done, in one transaction under the row's lock; it may raise CannotBeUsed.
    `ended_at` names a column for the time at which something came of a try, where there is one.
    """

    model: type[models.Model]
    owner: str
    whose: str
    ring: Callable[[int], object]
    apply: Callable[[Any], None]
    waiting: str
    failed: str
    again_after: tuple[int, ...]  # seconds
    ended_at: str = ""

    @property
    def most_tries(self) -> int:
        """Return how often a row is tried."""
        return len(self.again_after) + 1

    @property
    def _rows(self) -> QuerySet[Any]:
        """Return all rows of this kind."""
        return self.model._default_manager.all()

    def insert(self, statement: str, marks: str, rows: Sequence[Sequence[Any]], keys: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Insert rows, and ring for the owners of those that are new; tell of each whether it was not here before.

        `statement` takes `{rows}`, for each row its `marks`, and returns the keys of those inserted; a key begins with the owner.
        Where the connection breaks after it was written, the second try finds it here; the sweep rings for it.
        """
        values = [value for row in rows for value in row]
        found = rows_of(statement.format(rows=", ".join([marks] * len(rows))), values, len(rows))
        inserted = {tuple(row) for row in found}
        for owner_id in {key[0] for key in inserted}:
            bell.after_commit(self.ring, owner_id, self.whose)
        is_new = []
        for key in keys:
            is_new.append(key in inserted)
            inserted.discard(key)  # the same once more is a repetition
        return is_new

    def due(self, owner_id: int, most: int) -> list[int]:
        """Return the keys of rows to work on now, in the order in which they came."""
        waiting = self._rows.filter(**{self.owner: owner_id}, next_try_at__lte=timezone.now()).order_by("pk")
        return list(waiting.values_list("pk", flat=True)[:most])

    def over_before(self, before: Any) -> QuerySet[Any]:
        """Return rows that came before that moment and do not wait for anything."""
        return self._rows.filter(received_at__lt=before, next_try_at__isnull=True).order_by("received_at")

    def run_again(self, rows: QuerySet[Any]) -> int:
        """Have these worked on once more, from the beginning; what they did already they do not do twice. Returns how many."""
        owners = set(rows.order_by().values_list(self.owner, flat=True))
        count = rows.update(state=self.waiting, tries=0, next_try_at=timezone.now(), detail="")
        for pk in owners:
            bell.after_commit(self.ring, pk, self.whose)
        return int(count)

    def work_on(self, pk: int) -> int:
        """Work on one row. Returns 1, or 0 where there was nothing to do."""
        row = self._rows.select_related(self.owner).get(pk=pk)
        mine = self._rows.filter(pk=pk, tries=row.tries, next_try_at__isnull=False)
        if row.tries >= self.most_tries:
            words = _("The worker stopped while it worked on it, again and again.")
            mine.update(state=self.failed, next_try_at=None, detail=words)
            return 0
        wait = timedelta(seconds=self.again_after[min(row.tries, len(self.again_after) - 1)])
        if not mine.update(tries=row.tries + 1, next_try_at=timezone.now() + wait):
            return 0  # somebody else just took it
        row.tries += 1
        try:
            self.apply(row)
        except CannotBeUsed as error:
            self._note_failure(row, str(error), is_final=True)
        except (OperationalError, InterfaceError):
            raise  # the database went away: it is tried again
        except Exception as error:  # the worker's edge: our own code failed on it, which must not stop the others
            logger.exception("%s %s could not be worked on.", self.model.__name__, pk)
            words = _("Our own code failed on it (%(error)s); that was logged.") % {"error": type(error).__name__}
            self._note_failure(row, words, is_final=row.tries >= self.most_tries)
        return 1

    def _note_failure(self, row: Any, words: str, is_final: bool) -> None:
        """Note why nothing came of it; unless that is final it is tried again at the time that is noted already."""
        values: dict[str, Any] = {"detail": words} | ({self.ended_at: timezone.now()} if self.ended_at else {})
        if is_final:
            values |= {"state": self.failed, "next_try_at": None}
        self._rows.filter(pk=row.pk).update(**values)
