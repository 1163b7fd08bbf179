"""Backup and restore, by the commands of docs/backup.md: everything is lost, and nothing is sent twice without being known."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import documented
from nectorbridge.testing import installation as kit
from nectorbridge.testing.installation import installation, wait_for
from nectorbridge.tests.test_journey import LEDGER, SET_UP, STATES, all_sent, credits

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]
run = partial(documented.run, "backup.md")
OTHER_REDIS = "15"  # one that nothing else here uses: empty, as after its loss
UNCERTAIN = "print(json.dumps([str(a.delivery_id) for a in DeliveryAttempt.objects.filter(outcome='uncertain')]))"
SECRET = "print(json.dumps(Integration.objects.get().secrets['private_api_key'] == 'CANARY-PASSCODE-42'))"


def file_of(place):
    return Path(place.environment["DATABASE_URL"].removeprefix("sqlite:///"))


def lose(store, place):
    """Destroy the database and all of its folder."""
    place.close()
    if store == "postgres":
        name = place.environment["DATABASE_URL"].rsplit("/", 1)[1]
        with kit._admin() as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            admin.execute(f'CREATE DATABASE "{name}"')  # empty; it goes with the installation
    shutil.rmtree(place.folder)


@contextmanager
def new_place(store, folder, former):
    """An installation elsewhere, with the former one's keys and settings, an empty Redis, and nothing in its database."""
    folder.mkdir()
    kept = {name: former.environment[name] for name in ("SECRET_KEY", "FERNET_KEYS", "CLEVERTAP_BASE_URL")}
    redis_url = f"{kit.REDIS_URL.rsplit('/', 1)[0]}/{OTHER_REDIS}"
    if store == "postgres":
        empty(redis_url)
    with kit.unmigrated(store, folder, redis_url, **kept) as place:
        yield place
    if store == "postgres":
        empty(redis_url)


def empty(redis_url):
    """Take the installation's tasks out of Redis, and nothing of anybody else's."""
    from redis import Redis

    with Redis.from_url(redis_url) as client:
        for key in client.scan_iter("django_q:nectorbridge:*"):
            client.delete(key)


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def backups(store, tmp_path):
    if store == "postgres" and not shutil.which("pg_dump"):
        pytest.skip("pg_dump is not installed (Debian: apt-get install postgresql-client)")
    folder = tmp_path / "backup"
    folder.mkdir()
    return folder


def test_all_is_lost_and_restored_by_the_documented_commands(store, sandbox, tmp_path, backups):
    home = tmp_path / "home"
    home.mkdir()
    with installation(store, home, CLEVERTAP_BASE_URL=sandbox.url_of("clevertap")) as place:
        place.ask(SET_UP)
        with place.running("worker"):
            place.ask(credits(1))
            wait_for(all_sent(place, 20), 40, "the first are sent")
        place.ask(credits(1))
        assert place.ask(STATES) == {"sent": 20, "queued": 20}
        run(f"{store} backup", place, BACKUP=backups)
        with place.running("worker"):
            wait_for(all_sent(place, 40), 40, "after the backup the others are sent, too")
            place.ask(credits(1))
            wait_for(all_sent(place, 60), 40, "and more, of which the backup knows nothing")
        lose(store, place)
        before = dict(sandbox.deliveries("clevertap"))
        assert len(before) == 60 and set(before.values()) == {1}
        with new_place(store, tmp_path / "elsewhere", place) as restored:
            check_restored(store, sandbox, restored, backups, before)


def check_restored(store, sandbox, place, backups, before):
    """Restore by the page, and see that it goes on as the page says."""
    run(f"{store} restore", place, BACKUP=backups, DATABASE=file_of(place) if store == "sqlite" else "")
    said = run("afterwards", place)
    assert "20 deliveries may have been sent since the backup" in said
    assert "Every secret is under the first key" in said
    assert place.ask(SECRET), "what was encrypted can be read"
    assert place.ask(STATES) == {"sent": 20, "retrying": 20}
    assert place.ask(LEDGER) == 0
    assert sandbox.deliveries("clevertap") == before, "a restore by itself sends nothing"
    known = set(place.ask(UNCERTAIN))
    with place.running("worker"):
        wait_for(all_sent(place, 40), 40, "what waited is sent")
        place.ask(credits(1))
        wait_for(all_sent(place, 60), 40, "and the queue goes on")
    after = sandbox.deliveries("clevertap")
    twice = {key for key, times in after.items() if times > 1}
    assert twice == known and len(known) == 20, "what came twice was known beforehand"
    assert len(after) == 80, "20 that only the lost database knew, 20 new ones"


def test_without_the_keys_a_restored_database_says_so(sandbox, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with installation("sqlite", home, CLEVERTAP_BASE_URL=sandbox.url_of("clevertap")) as place:
        place.ask(SET_UP)
        place.close()
        place.environment["FERNET_KEYS"] = secrets.token_urlsafe(40)
        checked = subprocess.run(place.command("rotatekeys", "--check"), env=place.environment, cwd=home, check=False)
        assert checked.returncode == 1
