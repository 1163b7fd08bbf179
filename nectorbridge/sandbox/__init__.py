"""Engagement providers on loopback: strict about their contracts, with faults on demand and a page of what arrived.

It knows nothing of the code under test: the rules are written down a second time here, from the providers' own pages, so
that a mistake in a provider module shows as a refusal instead of being repeated. No database, no Django, no network
beyond the address it listens on. `Sandbox.running()` starts one inside a test; `manage.py sandbox` runs one for people.
"""

from nectorbridge.sandbox.faults import Fault
from nectorbridge.sandbox.sandbox import Sandbox
from nectorbridge.sandbox.store import Arrived

__all__ = ["Arrived", "Fault", "Sandbox"]
