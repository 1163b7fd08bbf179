"""Credentials at rest: sealed, bound to their row, masked, rotatable, and never the end of a page."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.db import connection

from integrations.fields import SecretUnreadable
from integrations.models import Integration
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
CANARY = "CANARY-PASSCODE-42"


@pytest.fixture
def integration():
    return make.integration()


def reload(row):
    return Integration.objects.get(pk=row.pk)


def test_secrets_come_back_plain_and_print_masked(integration):
    secrets = reload(integration).secrets
    assert secrets["private_api_key"] == CANARY
    assert CANARY not in f"{secrets!r} {secrets} {integration!r} {integration.masked_secrets}"
    assert integration.masked_secrets == {"private_api_key": "••••E-42"}


def test_a_short_secret_shows_nothing_of_itself():
    assert make.integration(secrets={"private_api_key": "12345678"}).masked_secrets == {"private_api_key": "••••"}


def test_the_database_holds_ciphertext_only(integration):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM integrations_integration")
        stored = bytes(cursor.fetchone()[0])
    assert CANARY.encode() not in stored and stored.startswith(b"gAAAA")


def test_saving_a_loaded_row_keeps_its_secret(integration):
    row = reload(integration)
    row.common_property = "email"
    row.save()
    assert reload(integration).secrets["private_api_key"] == CANARY


def test_bulk_update_and_get_or_create_keep_the_secret(integration):
    row = reload(integration)
    row.secrets = {"private_api_key": "second"}
    Integration.objects.bulk_update([row], ["sealed_secrets"])
    assert reload(integration).secrets == {"private_api_key": "second"}
    merchant = make.merchant("third")
    made, _new = Integration.objects.get_or_create(
        merchant=merchant, provider="clevertap", defaults={"secrets": {"private_api_key": "x"}}
    )
    assert reload(made).secrets == {"private_api_key": "x"}


def test_another_rows_ciphertext_is_refused(integration):
    other = make.integration(make.merchant("other"))
    Integration.objects.filter(pk=other.pk).update(sealed_secrets=reload(integration).sealed_secrets)
    with pytest.raises(SecretUnreadable):
        reload(other).secrets  # noqa: B018
    assert "unreadable" in reload(other).masked_secrets["private_api_key"]


def test_a_new_first_key_reads_the_old_and_a_lost_key_breaks_no_page(integration, use_keys, settings):
    old = settings.FERNET_KEYS[0]
    use_keys("n" * 40, old)
    row = reload(integration)
    assert row.secrets["private_api_key"] == CANARY
    row.secrets = dict(row.secrets)
    row.save()
    use_keys("n" * 40)
    assert reload(integration).secrets["private_api_key"] == CANARY
    use_keys("z" * 40)
    assert str(reload(integration)) and "unreadable" in reload(integration).masked_secrets["private_api_key"]
    assert list(Integration.objects.all())
    result = reload(integration).initialize()
    assert not result.ok and "secret_unreadable" in result.reason and reload(integration).status == "attention"


def test_a_dump_holds_no_secret(integration):
    out = io.StringIO()
    call_command("dumpdata", "integrations", stdout=out)
    assert CANARY not in out.getvalue()


def test_the_keys_are_checked(settings):
    from integrations.checks import fernet_keys_are_keys

    settings.FERNET_KEYS = []
    assert [p.id for p in fernet_keys_are_keys()] == ["integrations.E001"]
    settings.FERNET_KEYS = ["short"]
    assert [p.id for p in fernet_keys_are_keys()] == ["integrations.E002"]
    settings.FERNET_KEYS = [settings.SECRET_KEY]
    assert "integrations.E003" in [p.id for p in fernet_keys_are_keys()]
