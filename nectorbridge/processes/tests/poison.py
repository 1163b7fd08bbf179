"""The app that makes one event fatal (see `weak`)."""

from __future__ import annotations

from django.apps import AppConfig


class Poison(AppConfig):
    name = "nectorbridge.processes.tests"
    label = "poison"

    def ready(self) -> None:
        from integrations.providers.clevertap import CleverTap
        from nectorbridge.processes.tests.weak import POISON, crash

        pack = CleverTap.pack_events

        def fatal(self, account, events, profiles, now):
            if any(event.properties.get("title") == POISON for event in events):
                crash()
            return pack(self, account, events, profiles, now)

        CleverTap.pack_events = fatal
