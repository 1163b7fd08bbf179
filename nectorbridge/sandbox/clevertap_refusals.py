"""How CleverTap words the refusal of one record, and the record it echoes.

The texts of 509, 513, 515, 516 and 525 are recorded, with their uneven spaces; the others follow the same pattern.
"""

from __future__ import annotations

from typing import Any

from nectorbridge.sandbox.clevertap_values import Finding

NAME_TEXT = "Event Name is incorrect. ErrorCode: {code} - {detail} Skipped record number : {number}"
EVENT_TEXT = "Event structure is incorrect. ErrorCode: {code} - {detail} Skipped record number : {number}"
PROFILE_TEXT = "Profile data is incorrect. {detail}Skipped record number : {number}"
PLAIN_TEXT = "{detail} Skipped record number : {number}"
TEXTS = {509: NAME_TEXT, 513: NAME_TEXT, 528: NAME_TEXT, 512: EVENT_TEXT, 522: EVENT_TEXT}
TEXTS |= dict.fromkeys(range(514, 521), PROFILE_TEXT)
MISCELLANEOUS_CODE = 555
MISCELLANEOUS = "Miscellaneous server error."


def refusal_item(finding: Finding, number: int, record: Any) -> dict[str, Any]:
    """Return one entry of `unprocessed`. `number` counts the records of the call from 1."""
    detail = MISCELLANEOUS if finding.code == MISCELLANEOUS_CODE else finding.detail
    text = TEXTS.get(finding.code, PLAIN_TEXT).format(code=finding.code, detail=detail, number=number)
    return {"status": "fail", "code": finding.code, "error": text, "record": echoed(record)}


def echoed(record: Any) -> Any:
    """Return the record as CleverTap gives it back: a phone has become a number, an identity a text."""
    if not isinstance(record, dict):
        return {}
    echo = dict(record)
    if isinstance(echo.get("identity"), int | float):
        echo["identity"] = str(echo["identity"])
    profile = echo.get("profileData")
    if isinstance(profile, dict) and isinstance(profile.get("Phone"), str):
        digits = profile["Phone"].removeprefix("+")
        if digits.isascii() and digits.isdigit() and len(digits) <= 20:
            echo["profileData"] = profile | {"Phone": int(digits)}
    return echo
