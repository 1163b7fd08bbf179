"""What django-q2 runs for this room. Tasks carry ids only; one that runs twice asks the provider once."""

from __future__ import annotations

from integrations import background


def initialize(integration_id: int) -> bool:
    """Do the check that a click began. Returns whether there was one to do."""
    return background.run(integration_id)
