"""What this room announces to whoever listens."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after credentials were accepted and the integration became active. Arguments: integration.
initialized = Signal()
# Sent after an integration's status changed. Arguments: integration, before, after.
status_changed = Signal()
# Asked before somebody disconnects. Receivers return how many events wait for the integration. Arguments: integration.
waiting_events = Signal()
# Asked which steps after connecting are done. Receivers return the names that `Step.leads_to` has. Arguments: integration.
steps_done = Signal()
# Asked why an integration's events wait although it is active. Receivers return a title and lines, or None. Arguments:
# integration.
flow_asked = Signal()
# Sent when an integration was connected to another account than before, in the same transaction. Arguments: integration.
account_changed = Signal()
# Sent while an integration is disconnected, in the same transaction. Receivers return how many events they cancelled.
# Arguments: integration.
disconnected = Signal()
