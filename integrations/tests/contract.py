"""What the tests of the providers' contract cases share."""

from __future__ import annotations

from typing import Any

from integrations.providers.base import Outcome

OUTCOMES = {
    "delivered": Outcome.ACCEPTED,
    "retry": Outcome.TRANSIENT,
    "failed": Outcome.PERMANENT,
    "disable_integration": Outcome.CONFIGURATION,
}


def assert_subset(expected: Any, actual: Any, path: str = "$") -> None:
    """Assert that everything expected is there; objects may have more members, lists may not have more items."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in actual, f"{path}.{key}"
            assert_subset(value, actual[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), path
        for index, value in enumerate(expected):
            assert_subset(value, actual[index], f"{path}[{index}]")
    else:
        assert expected == actual, path
