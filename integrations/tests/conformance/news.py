"""What is news: a profile is pushed when something about it changed, and not again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from integrations.tests.conformance.subject import KNOWN, NOW, Subject, records_of


def a_profile_is_pushed_once(it: Subject) -> None:
    profile = it.profile()
    (call,) = it.push(profile)
    (record,) = call.records
    assert record.customer_ref == profile.customer_ref and record.profile_hash and not record.delivery_id
    known = replace(profile, pushed_hash=record.profile_hash)
    assert it.push(known) == it.push(known, bulk=True) == ()
    assert not [one for one in records_of(it.pack(it.event("d"), profiles=[known])) if not one.delivery_id]
    assert it.push(replace(known, recipient=known.recipient | {"name": "Somebody Else"}))


def attributes_are_held_or_left_alone(it: Subject) -> None:
    plain, full = it.profile(), it.profile(attributes=KNOWN)
    (before,), (after,) = it.push(plain), it.push(full)
    sent = list(_names_in(json.loads(after.request.body)))
    if not it.provider.holds_attributes:
        assert before == after
        return
    assert before.records[0].profile_hash != after.records[0].profile_hash
    assert {"nector_coins", "nector_next_expiry_at", "nector_coins_as_of"} <= set(sent) and "nector_referral_code" not in sent
    known = replace(full, pushed_hash=after.records[0].profile_hash)
    seen_later = {key: NOW + timedelta(days=1) for key in KNOWN if key.endswith("_as_of")}
    assert it.push(replace(known, attributes=KNOWN | seen_later)) == ()
    assert it.push(replace(known, attributes=KNOWN | {"nector_coins": 1}))


def _names_in(data: Any) -> Iterator[str]:
    for value in data if isinstance(data, list) else []:
        yield from _names_in(value)
    for name, value in data.items() if isinstance(data, dict) else []:
        yield name
        yield from _names_in(value)
