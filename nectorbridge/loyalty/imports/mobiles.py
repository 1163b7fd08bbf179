"""Mobile numbers as `nector.record.phone` writes them, at a speed for files: most are in E.164 already, and known to be."""

from __future__ import annotations

import re
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from nectorbridge.loyalty.nector import record

E164 = re.compile(r"\+[1-9][0-9]{7,14}")
LONGEST_CODE = 3  # digits
WORLD = "001"  # instead of a country, for numbers that belong to none


def normal(said: str, country: str = "") -> str:
    """Return a number as `record.phone` does; empty where it is none."""
    return said if E164.fullmatch(said) and _stays(said) else record.phone(said, country)


def _stays(number: str) -> bool:
    """Tell whether E.164 is how the library would write this number, too: nothing in front of it is a trunk prefix."""
    for length in range(1, LONGEST_CODE + 1):
        code = number[1 : 1 + length]
        if (pattern := _trunk(code)) is not None:
            return pattern.match(number, 1 + length) is None
    return False


@cache
def _trunk(code: str) -> re.Pattern[str] | None:
    """Return what may stand in front of national numbers behind this country code; None for what is no code."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    if regions is None:
        return None
    known = (
        PhoneMetadata.metadata_for_nongeo_region(int(code), None)
        if regions[0] == WORLD
        else PhoneMetadata.metadata_for_region(regions[0], None)
    )
    prefix = known.national_prefix_for_parsing if known is not None else None
    return re.compile(prefix or r"(?!)")  # the second matches nothing
