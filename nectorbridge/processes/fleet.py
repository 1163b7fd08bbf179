"""Several processes kept running together: what `manage.py up` watches over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from nectorbridge.processes.backoff import Backoff
from nectorbridge.processes.children import Child, end_all
from nectorbridge.processes.stopping import StopRequests

QUICK_DEATH_SECONDS = 5.0  # who lives shorter could not start
QUICK_DEATHS = 5
WITHIN_SECONDS = 60.0
TICK_SECONDS = 0.2


class CannotStartError(Exception):
    """A process that everything depends on ended again and again. The message is one line for a person."""


@dataclass
class Member:
    """One process of the fleet. One that is not essential may end without taking the others along."""

    title: str
    command: Sequence[str]  # a module's name and its arguments
    is_essential: bool = True
    child: Child | None = None
    start_at: float = 0.0
    quick_deaths: list[float] = field(default_factory=list)
    backoff: Backoff = field(default_factory=Backoff)

    def ended(self, uptime: float, now: float) -> bool:
        """Take note of an end after `uptime` seconds. Returns whether starting it once more makes sense."""
        self.quick_deaths = [*self.quick_deaths, now] if uptime < QUICK_DEATH_SECONDS else []
        self.start_at = now + self.backoff.wait_after(uptime)
        recent = [moment for moment in self.quick_deaths if now - moment <= WITHIN_SECONDS]
        return len(recent) < QUICK_DEATHS


class Fleet:
    """Starts its members, starts them again when they end, and ends all of them together."""

    def __init__(self, members: Sequence[Member], requests: StopRequests) -> None:
        """Prepare; nothing is started yet."""
        self.members = list(members)
        self.requests = requests

    def look(self) -> None:
        """Start what is due. Raises CannotStartError when an essential member has failed too often."""
        for member in list(self.members):
            if member.child is not None and member.child.exit_code is not None:
                self._note_end(member, member.child)
            elif member.child is None and time.monotonic() >= member.start_at:
                member.child = Child(member.command)

    def run(self) -> None:
        """Watch until told to stop."""
        while not self.requests.is_wanted:
            self.look()
            time.sleep(TICK_SECONDS)

    def end(self, grace: float) -> None:
        """End every process; those that take longer than `grace` seconds are killed."""
        end_all([member.child for member in self.members if member.child], grace, lambda: self.requests.is_urgent)

    def _note_end(self, member: Member, child: Child) -> None:
        code = child.exit_code
        child.kill()  # whatever it left in its group
        member.child = None
        may_start_again = member.ended(child.uptime, time.monotonic())
        if not member.is_essential and (code == 0 or not may_start_again):
            self.members.remove(member)
        elif not may_start_again:
            raise CannotStartError(
                f"The {member.title} ended {QUICK_DEATHS} times right after its start (exit code {code}); its message is above."
            )
