"""One record of a file as what it says, or as what is wrong with it. Pure, but for the words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from integrations.providers.values import clean_text, email_or_none
from nectorbridge.loyalty import ledger
from nectorbridge.loyalty.imports import mobiles, reading
from nectorbridge.loyalty.models.imports import LONGEST_VALUE
from nectorbridge.loyalty.nector.record import own_id

WHOLE = re.compile(r"\+?([0-9]{1,16})(?:\.0+)?")
DAYS = re.compile(r"[0-9]{1,5}")
MOST_DAYS = 36_500
END_OF_DAY = time(23, 59, 59)
IS_DEBIT = {"": False, "cr": False, "credit": False, "dr": True, "debit": True}
LONGEST = {"email": 254, "customer_id": 128, "name": 200}


@dataclass(slots=True)
class Row:
    """What a good row says. `customer_id` is the store's own ID, `nector_id` the same with a source in front, if it had one."""

    number: int
    email: str
    phone: str
    customer_id: str
    nector_id: str
    name: str
    is_debit: bool
    amount: int
    expires_at: datetime | None
    title: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row; `column` is empty where it is about the whole row, `value` is what stands there."""

    number: int
    column: str
    message: str
    value: str = ""


class Reader:
    """Reads records of one merchant's file. Days are days of `zone`; what is over is what is over at `now`."""

    def __init__(self, zone: str, now: datetime) -> None:
        """Keep both."""
        self._zone = ZoneInfo(zone)
        self._now = now
        self._expiries: dict[str, datetime | str] = {}

    def read(self, record: reading.Record) -> Row | Sequence[Fault]:
        """Return what a record says, or all that is wrong with it."""
        number, verdict = int(record[0]), record[1]
        if verdict != reading.OK:
            return [Fault(number, "", _unreadable(verdict))]
        email, mobile, amount, operation, written, name, expiry, reason, country = (
            text if text.isascii() else clean_text(text) for text in map(str, record[2:])
        )
        faults: list[Fault] = []

        def wrong(column: str, message: str, value: str) -> None:
            faults.append(Fault(number, column, message, value[:LONGEST_VALUE]))

        if not (email or mobile or written):
            wrong("", _("It says nobody: email, mobile and customer_id are empty."), "")
        for column, value in (("email", email), ("customer_id", written), ("name", name)):
            if len(value) > LONGEST[column]:
                wrong(column, _("It has more than %(most)s characters.") % {"most": LONGEST[column]}, value)
        if email and ("*" in email or email_or_none(email) is None):
            wrong("email", _("This is no email address."), email)
        phone = mobiles.normal(mobile, country) if mobile else ""
        if mobile and not phone:
            wrong("mobile", _("This is no mobile number."), mobile)
        whole = WHOLE.fullmatch(amount)
        coins = int(whole[1]) if whole else 0
        if not 0 < coins <= ledger.MOST_COINS:
            wrong("points_balance", _("It must be a whole number above zero, without separators."), amount)
        is_debit = IS_DEBIT.get(operation.lower())
        if is_debit is None:
            wrong("points_operation", _("It must be cr (coins come) or dr (coins go); empty means cr."), operation)
        expires_at = None
        if expiry and not is_debit:
            found = self._expiry(expiry)
            if isinstance(found, str):
                wrong("expiry", found, expiry)
            else:
                expires_at = found
        if len(reason) > ledger.LONGEST_TITLE:
            wrong("reason", _("It has more than %(most)s characters.") % {"most": ledger.LONGEST_TITLE}, reason)
        if faults:
            return faults
        own = own_id(written) if written else ""
        nector_id = written if own != written else ""
        return Row(number, email, phone, own, nector_id, name, bool(is_debit), coins, expires_at, reason)

    def _expiry(self, said: str) -> datetime | str:
        """Return when coins expire, or what is wrong with it. Remembered: a file says few different ones."""
        found = self._expiries.get(said)
        if found is None:
            if len(self._expiries) > reading.LONGEST_CELL:
                self._expiries.clear()
            found = self._expiries[said] = self._read_expiry(said)
        return found

    def _read_expiry(self, said: str) -> datetime | str:
        """Return a day's end, a moment, or the end of the day in so many days."""
        try:
            if DAYS.fullmatch(said):
                if not 0 < int(said) <= MOST_DAYS:
                    return _("A number of days is from 1 to %(most)s.") % {"most": MOST_DAYS}
                there = self._now.astimezone(self._zone).date() + timedelta(days=int(said))
                return datetime.combine(there, END_OF_DAY, self._zone).astimezone(UTC)
            found = datetime.fromisoformat(said)
            if _is_day(said):
                found = datetime.combine(found.date(), END_OF_DAY, self._zone)
            elif found.utcoffset() is None:
                found = found.replace(tzinfo=self._zone)
            found = found.astimezone(UTC)
        except (ValueError, OverflowError):
            return _("It must be a date as 2027-12-31, a time as 2027-12-31T18:00:00+05:30, or a number of days.")
        return _("This moment is over already.") if found <= self._now else found


def _is_day(said: str) -> bool:
    """Tell whether a text names a day without a time."""
    try:
        date.fromisoformat(said)
    except ValueError:
        return False
    return True


def _unreadable(verdict: int | str) -> str:
    """Return what is wrong with a row that could not be cut into cells."""
    if verdict == reading.TOO_MANY_CELLS:
        return _("It has more cells than the first row. Is a text with a separator in it without quotation marks?")
    return _("It cannot be read: a quotation mark is opened and not closed.")
