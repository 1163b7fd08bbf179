"""The page: what each provider was sent, what goes wrong on purpose, and the newest records. One file, no scripts."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nectorbridge.sandbox.faults import KINDS, Fault
from nectorbridge.sandbox.providers import PROVIDERS
from nectorbridge.sandbox.store import Arrived

if TYPE_CHECKING:
    from nectorbridge.sandbox.sandbox import Sandbox

SHOWN_RECORDS = 50
SHOWN_JSON_CHARACTERS = 20_000
REFRESH_SECONDS = 5
STYLE = (Path(__file__).parent / "page.css").read_text()
# What the counters are called; those marked are drawn as trouble when they are above zero.
NUMBERS = (
    ("events", "events accepted", False),
    ("profiles", "profiles accepted", False),
    ("calls", "calls", False),
    ("refused", "records refused", True),
    ("duplicates", "duplicates", True),
)
TALLIES = (("answers", "Answers:"), ("refusals", "Refused with:"))


def render(sandbox: Sandbox, live: bool) -> str:
    """Return the page; a live one loads itself again every few seconds and therefore has no form."""
    summary = sandbox.summary()
    cards = "".join(_provider(sandbox, slug, numbers) for slug, numbers in summary.items())
    newest = sorted(
        (r for store in sandbox.stores.values() for r in store.newest(SHOWN_RECORDS)), key=lambda r: r.at, reverse=True
    )
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if live else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Provider sandbox</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}<style>{STYLE}</style></head>'
        f"<body><main>{_header(live)}{cards}{_fault_form(live)}{_records(newest[:SHOWN_RECORDS])}</main></body></html>"
    )


def _header(live: bool) -> str:
    """Return the title and the switches that concern everything."""
    switch = '<a class="button" href="/?refresh=off">Pause</a>' if live else '<a class="button" href="/">Go live</a>'
    state = f"Live: loads again every {REFRESH_SECONDS} seconds." if live else "Paused."
    return (
        f'<header><h1>Provider sandbox</h1><span class="soft">{state}</span><div class="bar push">{switch}'
        '<form method="post" action="/_sandbox/reset" enctype="application/x-www-form-urlencoded">'
        "<button>Forget everything</button></form></div></header>"
    )


def _provider(sandbox: Sandbox, slug: str, numbers: dict[str, Any]) -> str:
    """Return one provider's card: address, counters, active faults."""
    counters = "".join(
        f"<div{' class=bad' if is_trouble and numbers[name] else ''}><dt>{label}</dt><dd>{numbers[name]:,}</dd></div>"
        for name, label, is_trouble in NUMBERS
    )
    details = " · ".join(_tally(label, numbers[name]) for name, label in TALLIES if numbers[name])
    faults = "".join(_fault(fault) for fault in sandbox.faults.active(slug))
    return (
        f'<section class="card"><div class="bar"><h2>{escape(PROVIDERS[slug].label)}</h2>'
        f"<code>{escape(sandbox.url_of(slug))}</code></div>"
        f'<dl class="numbers">{counters}</dl><p class="soft">{escape(details)}</p>{faults}</section>'
    )


def _tally(label: str, counts: dict[str, int]) -> str:
    """Return counts by word, in a line."""
    return f"{label} {', '.join(f'{word} ({count:,})' for word, count in sorted(counts.items()))}"


def _fault(fault: Fault) -> str:
    """Return an active fault, with a button that ends it."""
    what = {
        "status": f"answers {fault.status}",
        "latency": f"answers {fault.seconds:g} s late",
        "partial": f"refuses each n-th record (n = {fault.every}) with {fault.code}",
        "drip": f"answers a byte per {fault.seconds:g} s",
    }.get(fault.kind, KINDS[fault.kind])
    left = "until cleared" if fault.times is None else f"{fault.times - fault.served} more"
    where = f" on paths with {fault.path}" if fault.path else ""
    return (
        f'<div class="bar fault"><span><strong>{escape(fault.kind)}</strong> {escape(what + where)}, {left} '
        f'(served {fault.served})</span><form method="post" action="/_sandbox/faults/clear">'
        f'<input type="hidden" name="id" value="{fault.id}"><button>Clear</button></form></div>'
    )


def _fault_form(live: bool) -> str:
    """Return the form that adds a fault; on a live page, the way to it, since what is typed there would be lost."""
    if live:
        return '<p class="below"><a class="button" href="/?refresh=off#add">Add a fault</a></p>'
    providers = "".join(f'<option value="{slug}">{escape(provider.label)}</option>' for slug, provider in PROVIDERS.items())
    kinds = "".join(f'<option value="{kind}">{kind}: {escape(meaning)}</option>' for kind, meaning in KINDS.items())
    return (
        '<form class="card" id="add" method="post" action="/_sandbox/faults"><h2>Add a fault</h2><div class="fields">'
        f'<label>Provider<select name="provider">{providers}</select></label>'
        f'<label class="wide">What goes wrong<select name="kind">{kinds}</select></label>'
        f"{_input('times', 'Times', 'until cleared')}{_input('path', 'Only paths with', 'any')}"
        f"{_input('status', 'Status', '503')}{_input('retry_after', 'Retry-After', 'none')}"
        f"{_input('seconds', 'Seconds', '1')}{_input('every', 'Each n-th record', '2')}{_input('code', 'Record code', '555')}"
        '</div><button class="main">Add</button></form>'
    )


def _input(name: str, label: str, placeholder: str) -> str:
    """Return one optional field."""
    return f'<label>{label}<input name="{name}" placeholder="{placeholder}" autocomplete="off"></label>'


def _records(records: list[Arrived]) -> str:
    """Return the newest records, or what to do to see some."""
    if not records:
        return (
            '<section class="card"><h2>Nothing has arrived yet</h2><p class="soft">Point a provider\'s base address here, '
            "for example <code>CLEVERTAP_BASE_URL</code>, and let an event be sent.</p></section>"
        )
    rows = "".join(_record(record) for record in records)
    title = f'<div class="bar"><h2>Newest records</h2><span class="soft">{len(records)}</span></div>'
    return f'<section class="card">{title}{rows}</section>'


def _record(record: Arrived) -> str:
    """Return one record: a line, and its JSON below."""
    text = json.dumps(record.record, indent=2, ensure_ascii=False)[:SHOWN_JSON_CHARACTERS]
    verdict = (
        '<span class="ok">accepted</span>' if record.is_accepted else f'<span class="no">refused {escape(record.code)}</span>'
    )
    about = f"{PROVIDERS[record.provider].label} · call {record.call} · record {record.number} · account {record.account}"
    return (
        f'<details class="record"><summary><span class="time">{record.at:%H:%M:%S} Z</span>'
        f"<strong>{escape(record.name or record.kind)}</strong>"
        f'<span class="identity">{escape(record.identity) or "–"}</span>{verdict}</summary>'
        f'<p class="soft">{escape(about)}</p><pre>{escape(text)}</pre></details>'
    )
