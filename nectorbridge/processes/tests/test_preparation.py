import socket

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command

from nectorbridge.management.commands import up
from nectorbridge.processes.preparation import NotReadyError, check_port, ensure_administrator, migrate


@pytest.fixture
def environment(monkeypatch):
    for name in ("ADMIN_USERNAME", "ADMIN_EMAIL", "ADMIN_PASSWORD", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_port_in_use_is_named_with_the_option_that_chooses_another():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(NotReadyError, match=rf"127\.0\.0\.1:{port} .*--sandbox-port"):
            check_port("127.0.0.1", port, "--sandbox-port")
    check_port("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("no-such-host.invalid", 8000), ("127.0.0.1", 70_000)])
def test_a_host_or_port_that_cannot_exist_is_one_line_too(host, port):
    with pytest.raises(NotReadyError) as raised:
        check_port(host, port)
    assert "\n" not in str(raised.value)


def test_up_refuses_a_busy_port_before_it_touches_anything():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(CommandError, match="Cannot listen on"):
        call_command("up", port=server.getsockname()[1])


@pytest.mark.django_db
class TestAdministrator:
    def test_the_first_start_makes_up_a_password_that_works(self, environment):
        administrator = ensure_administrator()
        assert (administrator.username, administrator.is_new) == ("admin", True)
        assert len(administrator.new_password) == 16
        assert authenticate(username="admin", password=administrator.new_password).is_superuser

    def test_a_given_password_is_used_and_not_shown(self, environment):
        environment.setenv("ADMIN_USERNAME", "ines")
        environment.setenv("ADMIN_EMAIL", "ines@example.com")
        environment.setenv("ADMIN_PASSWORD", "one of her own")
        administrator = ensure_administrator()
        assert (administrator.username, administrator.new_password) == ("ines", "")
        assert authenticate(username="ines", password="one of her own").email == "ines@example.com"

    def test_the_second_start_changes_nothing(self, environment):
        first = ensure_administrator()
        environment.setenv("ADMIN_PASSWORD", "another one")
        second = ensure_administrator()
        assert (second.username, second.is_new, second.new_password) == ("admin", False, "")
        assert authenticate(username="admin", password=first.new_password)

    def test_any_active_superuser_will_do(self, environment):
        get_user_model().objects.create_superuser("zoe")
        assert ensure_administrator().username == "zoe"

    def test_an_ordinary_user_is_never_promoted(self, environment):
        get_user_model().objects.create_user("admin")
        with pytest.raises(NotReadyError, match="ADMIN_USERNAME"):
            ensure_administrator()
        assert not get_user_model().objects.filter(is_superuser=True).exists()

    def test_a_database_that_is_up_to_date_needs_no_migration(self):
        assert migrate() == 0


def test_the_demo_sends_every_provider_to_the_sandbox_save_those_set_already(monkeypatch, settings):
    settings.PROVIDER_BASE_URLS = {"clevertap": "", "wigzo": "http://127.0.0.1:9/wigzo"}
    for slug in ("CLEVERTAP", "WIGZO"):
        monkeypatch.setenv(f"{slug}_BASE_URL", "")
    up.point_providers_here(8077)
    expected = {"clevertap": "http://127.0.0.1:8077/clevertap", "wigzo": "http://127.0.0.1:9/wigzo"}
    assert expected == settings.PROVIDER_BASE_URLS
    assert {slug: up.os.environ[f"{slug.upper()}_BASE_URL"] for slug in expected} == expected


def test_links_lead_to_the_chosen_port_unless_a_public_address_is_given(environment, settings):
    environment.setenv("PUBLIC_URL", "")
    environment.delenv("PUBLIC_URL")
    up.point_links_here("http://127.0.0.1:9000")
    assert settings.PUBLIC_URL == up.os.environ["PUBLIC_URL"] == "http://127.0.0.1:9000"
    environment.setenv("PUBLIC_URL", "https://bridge.example.com/")
    up.point_links_here("http://127.0.0.1:9000")
    assert settings.PUBLIC_URL == "https://bridge.example.com"


def test_only_the_demo_runs_a_sandbox_and_a_trickle():
    assert [member.title for member in up.members("127.0.0.1", 8000, None)] == ["web server", "task cluster"]
    titles = [member.title for member in up.members("127.0.0.1", 8000, 8077) if member.is_essential]
    assert titles == ["web server", "task cluster", "provider sandbox"]
