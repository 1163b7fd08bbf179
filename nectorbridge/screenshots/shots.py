"""Which pictures there are: name, height, and who looks. Where each is taken, `world.addresses` tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nectorbridge.processes.tied import PROJECT_DIR

FOLDER = Path("docs") / "screens"
WIDTH = 1280
ADMINISTRATOR, STAFF = "admin", "meera"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, `height` pixels high."""

    name: str
    height: int = 1000
    user: str = STAFF

    @property
    def file(self) -> Path:
        """Return where it is kept."""
        return PROJECT_DIR / FOLDER / f"{self.name}.png"


SHOTS = (
    Shot("dashboard"),
    Shot("catalogue", 640),
    *(Shot(f"{slug}-set-up") for slug in ("clevertap", "moengage", "wigzo", "mailmodo", "contlo")),
    Shot("moengage-refused", 640, ADMINISTRATOR),
    Shot("moengage-journey", 1020),
    Shot("contlo-launch", 1260),
    Shot("mailmodo-sync", 870),
    Shot("event", 960),
    Shot("test-event"),
    Shot("wigzo-test-event", 1250),
    Shot("journey"),
    Shot("deliveries", 760),
    Shot("delivery", 800),
    Shot("statistics", 1300),
    Shot("worth", 1300),
    Shot("coming-back"),
    Shot("staff", 640),
    Shot("audit-trail", 760),
    Shot("queue-health", 1000, ADMINISTRATOR),
)
