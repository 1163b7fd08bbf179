"""Every trigger with when it fires and what it carries, as a page of docs made from the catalogue: `docs/triggers.md`."""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import override

from events.triggers import CATALOGUE, Trigger

PATH = Path(__file__).resolve().parent.parent / "docs" / "triggers.md"
COINS = "coins"
TIMED = {"lead": "some days before an end, at an hour", "nudge": "some days after a beginning, several times, at an hour"}
PAGE = """# Triggers

Written by `manage.py triggertable` from the catalogue (`events/triggers.py`); do not edit.

Labels and texts take the merchant's own word for coins. Each event also carries `nector_delivery_id`, `nector_click_url`,
`nector_open_url`, and what is known of `business_name`, `business_uri`, `nector_business_uri`, `business_coin_name`,
`business_currency_code`, `business_currency_symbol`, `user_customer_id`, `user_name`, `user_email`, `user_mobile`, `user_tier`
and `user_referral_code`. What is not known is left out.

Any other topic that Nector sends can be made a trigger (`custom:<topic>`).
{groups}"""


def render() -> str:
    """Return the page."""
    with override("en"):
        groups: dict[str, list[Trigger]] = {}
        for trigger in CATALOGUE.values():
            groups.setdefault(str(trigger.group), []).append(trigger)
        return PAGE.format(groups="".join(f"\n## {name}\n{''.join(map(_section, rows))}" for name, rows in groups.items()))


def _section(trigger: Trigger) -> str:
    """Return one trigger."""
    lines = ["", f"### `{trigger.key}`: {trigger.title(COINS)}", "", f"Fires when {trigger.fires}.{_more(trigger)}", ""]
    lines += ["| property | type | sample |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {trigger.properties[name]} |" for name, kind in trigger.types.items()]
    return "\n".join(lines) + "\n"


def _more(trigger: Trigger) -> str:
    """Return what else is to be known: when time creates it, and what ends it."""
    said = [f"Also {TIMED[trigger.timing]} ([reminders](reminders.md))."] if trigger.timing else []
    if trigger.ended:
        said.append(f"Worth nothing once {trigger.ended}.")
    return "".join(f" {words}" for words in said)
