"""What a busy door remembers for a second, and what it must not."""

from __future__ import annotations

import pytest

from integrations import lately
from integrations.models import Merchant
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked():
    return []


@pytest.fixture
def names(asked):
    def look_up(key):
        asked.append(key)
        return Merchant.objects.filter(nector_webhook_token=key).values_list("name", flat=True).first()

    return lately.Lately(look_up, Merchant)


def test_what_was_found_is_asked_for_once_a_second(names, asked, monkeypatch):
    token = make.merchant(name="Aster").nector_webhook_token
    assert [names.find(token) for _number in range(5)] == ["Aster"] * 5 and asked == [token]
    monkeypatch.setattr(lately, "SECONDS", 0.0)
    assert names.find(token) == "Aster" and len(asked) == 2


def test_what_was_not_there_is_looked_for_each_time(names, asked):
    assert [names.find("nobody") for _number in range(3)] == [None] * 3 and len(asked) == 3


def test_a_change_in_this_process_is_known_at_once(names):
    merchant = make.merchant(name="Aster")
    assert names.find(merchant.nector_webhook_token) == "Aster"
    merchant.name = "Iris"
    merchant.save()
    assert names.find(merchant.nector_webhook_token) == "Iris"
    former = merchant.nector_webhook_token
    merchant.delete()
    assert names.find(former) is None


def test_it_keeps_no_more_than_its_share_of_memory(monkeypatch):
    monkeypatch.setattr(lately, "MOST", 3)
    everything = lately.Lately(lambda key: key)
    assert [everything.find(number) for number in range(1, 9)] == list(range(1, 9))
    assert len(everything._kept) <= 3
