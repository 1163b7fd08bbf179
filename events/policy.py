"""What one event and its merchant say about to whom it is sent, and when. Pure: no queries, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from events.host import Consent, strongest
from events.states import ConsentPolicy, QuietPolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """The columns of a definition and its merchant that say to whom, how often and when; as JSON has them."""

    minimum_coins: int | None
    tiers: str
    consent: str
    cap_count: int | None
    cap_hours: int
    quiet: str
    threshold: int | None
    close_within: int | None
    merchant_cap_count: int | None
    merchant_cap_hours: int
    quiet_from: str | None  # HH:MM:SS
    quiet_until: str | None
    timezone: str
    has_suppressed: bool | int  # whether anybody at all is suppressed at this merchant
    holdout: int = 0  # per cent of the customers that are not sent to

    @property
    def is_transactional(self) -> bool:
        """Tell whether it is no marketing: then neither consent nor what the merchant says of all events is asked for."""
        return self.consent == ConsentPolicy.IGNORE

    @property
    def caps(self) -> tuple[tuple[bool, int, timedelta], ...]:
        """Return the frequency caps: whether only this event counts, how many, and within which time."""
        return _caps(self)

    @property
    def needs_a_look(self) -> bool:
        """Tell whether more must be known than the activity says: who was sent what, who is suppressed, how late it is."""
        return bool(self.has_suppressed or self.cap_count or self.quiet_from) or (
            self.merchant_cap_count is not None or self.consent == ConsentPolicy.FLAG
        )

    def leaves_out(self, properties: Mapping[str, Any]) -> bool:
        """Tell whether a filter leaves out an activity with these properties."""
        if self.minimum_coins is not None:
            coins = properties.get("coins")
            if not isinstance(coins, int | float) or coins < self.minimum_coins:
                return True
        return bool(self.tiers) and str(properties.get("user_tier", "")).strip().casefold() not in _tiers(self.tiers)

    def refuses(self, said: Mapping[str, str], channel: str) -> bool:
        """Tell whether this customer is left out for what they said, by channel; `channel` empty: the journey chooses it."""
        if self.consent != ConsentPolicy.SKIP:
            return False
        answers = [said.get(channel, "")] if channel else list(said.values())
        return strongest(answers) == Consent.UNSUBSCRIBED

    def quiet_until_after(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end in which this moment lies, or None where it lies in none that count for this event."""
        if not self.quiet_from or not self.quiet_until or self.quiet == QuietPolicy.IGNORE or self.is_transactional:
            return None
        return quiet_end(now, time.fromisoformat(self.quiet_from), time.fromisoformat(self.quiet_until), self.timezone)

    def milestone(self, coins: Any, balance: Any) -> int | None:
        """Return how many coins are missing to the milestone (0: reached) where these coins brought the balance there."""
        if self.threshold is None or not isinstance(coins, int) or not isinstance(balance, int):
            return None
        fires_at = self.threshold - (self.close_within or 0)
        before = balance - coins
        if before < fires_at <= balance and (self.close_within is None or balance < self.threshold):
            return max(0, self.threshold - balance)
        return None


def quiet_end(now: datetime, since: time, until: time, zone: str) -> datetime | None:
    """Return when the quiet hours end in which this moment lies, None outside of them. They may go over midnight.

    Wall-clock times of the merchant's zone: an hour that a change of clocks leaves out ends with it.
    """
    local = now.astimezone(ZoneInfo(zone))
    clock = local.timetz().replace(tzinfo=None)
    if since < until:
        is_quiet, days = since <= clock < until, 0
    else:
        is_quiet, days = clock >= since or clock < until, int(clock >= since)
    if not is_quiet:
        return None
    end = datetime.combine(local.date() + timedelta(days=days), until, ZoneInfo(zone)).astimezone(UTC)
    return end if end > now else now + timedelta(seconds=1)  # the hour that is there twice


@lru_cache(maxsize=1024)
def _caps(policy: Policy) -> tuple[tuple[bool, int, timedelta], ...]:
    """Return the caps of a policy, made once."""
    caps = []
    if policy.cap_count:
        caps.append((True, policy.cap_count, timedelta(hours=policy.cap_hours)))
    if policy.merchant_cap_count and not policy.is_transactional:
        caps.append((False, policy.merchant_cap_count, timedelta(hours=policy.merchant_cap_hours)))
    return tuple(caps)


@lru_cache(maxsize=1024)
def _tiers(text: str) -> frozenset[str]:
    """Return the tiers in a list, as they are compared."""
    return frozenset(part.strip().casefold() for part in text.split(",") if part.strip())
