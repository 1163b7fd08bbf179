"""Some rows written to the ledger, in the caller's transaction: a handful of statements, whatever the number of rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction
from django.utils.translation import gettext as _

from integrations.models import Merchant
from nectorbridge.loyalty import ledger_many
from nectorbridge.loyalty.imports.people import People
from nectorbridge.loyalty.imports.reading import Record
from nectorbridge.loyalty.imports.rows import Fault, Reader, Row
from nectorbridge.loyalty.imports.telling import tell
from nectorbridge.loyalty.ledger import InsufficientBalance
from nectorbridge.loyalty.models.wallets import LedgerError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What became of some rows."""

    done: int = 0
    created: int = 0
    filled: int = 0
    credited: int = 0
    debited: int = 0
    coins_in: int = 0
    coins_out: int = 0
    failed: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count these as well."""
        for name in ("done", "created", "filled", "credited", "debited", "coins_in", "coins_out", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults


def apply(merchant: Merchant, records: Sequence[Record], reader: Reader, now: datetime, is_backfill: bool) -> Outcome:
    """Import records. `now` is when coins move. Where the database refuses them together, each is tried alone.

    Raises OperationalError and InterfaceError, which are about the database and not about rows.
    """
    rows, outcome = _read(records, reader)

    def post(some: Sequence[Row]) -> Outcome:
        return _post(merchant, some, now, is_backfill)

    outcome.add(_attempt(rows, post) or _one_by_one(rows, post))
    outcome.faults.sort(key=lambda fault: fault.number)
    return outcome


def _read(records: Iterable[Record], reader: Reader) -> tuple[list[Row], Outcome]:
    """Return the good rows, and what there is to say of the others."""
    rows: list[Row] = []
    outcome = Outcome()
    for record in records:
        found = reader.read(record)
        if isinstance(found, Row):
            rows.append(found)
        else:
            outcome.done += 1
            outcome.failed += 1
            outcome.faults += found
    return rows, outcome


def _attempt(rows: Sequence[Row], post: Callable[[Sequence[Row]], Outcome]) -> Outcome | None:
    """Post rows in a savepoint; None where that failed and nothing is left of it."""
    try:
        with transaction.atomic():
            return post(rows)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a worker's edge: somebody made the same customer meanwhile, or our own code failed on a row
        logger.exception("%s rows of an import could not be written together.", len(rows))
        return None


def _one_by_one(rows: Sequence[Row], post: Callable[[Sequence[Row]], Outcome]) -> Outcome:
    """Post each row alone, so that what is wrong with one stops no other."""
    outcome = Outcome()
    for row in rows:
        words = _("Our own code failed on this row; that was logged.")
        outcome.add(_attempt([row], post) or Outcome(done=1, failed=1, faults=[Fault(row.number, "", words)]))
    return outcome


def _post(merchant: Merchant, rows: Sequence[Row], now: datetime, is_backfill: bool) -> Outcome:
    """Write good rows, in order, and announce them."""
    outcome = Outcome(done=len(rows))
    if not rows:
        return outcome
    people = People(merchant, rows)
    debits = (row for row in rows if row.is_debit)
    spenders = {one.pk: one for row in debits for one in (people.find(row), *people.leads(row)) if one is not None}
    posting = ledger_many.Posting(people.known, spenders.values(), now)
    for row in rows:
        if (refused := _move(people, posting, row)) is not None:
            outcome.failed += 1
            outcome.faults.append(refused)
        elif row.is_debit:
            outcome.debited += 1
            outcome.coins_out += row.amount
        else:
            outcome.credited += 1
            outcome.coins_in += row.amount
    people.write()
    entries = posting.write()
    tell(merchant, people, entries, is_backfill)
    outcome.created, outcome.filled = len(people.made), len(people.changed)
    return outcome


def _move(people: People, posting: ledger_many.Posting, row: Row) -> Fault | None:
    """Move the coins of one row, and take what it says of its customer; return why not, where it cannot be done."""
    customer = people.find(row)
    try:
        if not row.is_debit:
            customer = customer or people.new(row)
            posting.credit(customer, row.amount, row.title, row.expires_at)
        elif customer is None:
            raise InsufficientBalance(0, row.amount)
        else:
            posting.debit(customer, row.amount, row.title)
    except InsufficientBalance as error:
        words = _("There are only %(balance)s, so these cannot be taken.") % {"balance": error.balance}
        return Fault(row.number, "points_balance", words, str(row.amount))
    except LedgerError as error:
        return Fault(row.number, "points_balance", str(error), str(row.amount))
    except ValueError:
        return Fault(row.number, "points_balance", _("The wallet cannot hold as many."), str(row.amount))
    people.take(row, customer)
    return None
