"""Log lines: one each, with ids, and with nothing of a person nor a secret, whoever wrote them and at whatever level."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from multiprocessing import Queue, Value
from pathlib import Path

import pytest
import responses
from django.conf import settings as live
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import Client, override_settings
from django.urls import reverse
from django_q.monitor import monitor
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from django_q.worker import worker

from events import record, record_many
from events.drain import drain
from events.models import EventDelivery
from events.stamping import LeaseLost
from events.sweep import sweep
from integrations.hygiene import about
from integrations.secrets import MASK
from nectorbridge import logs
from nectorbridge.processes.cluster import Parcel
from nectorbridge.reading import one_of
from nectorbridge.testing import make

PLANTED = {
    "customer_id": "CUST-PLANT-77",
    "email": "planted.asha+vip@mail.example.org",
    "phone": "+919876501234",
    "name": "Ashaplanted Raoplanted",
}
SECRETS = ("CANARY-PASSCODE-42",)
FORBIDDEN = (*PLANTED.values(), "planted.asha", "9876501234", "Ashaplanted", "Raoplanted", *SECRETS)


class Lines(logging.Handler):
    """Keeps what both formats make of every record, at every level, from every logger."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.text, self.json = [], []

    def emit(self, record):
        self.text.append(logs.TextFormatter().format(record))
        self.json.append(logs.JsonFormatter().format(record))

    @property
    def entries(self) -> list[dict]:
        return [json.loads(line) for line in self.json]


@pytest.fixture
def lines():
    handler, root = Lines(), logging.getLogger()
    quiet = {name: logging.getLogger(name).level for name in ("", "django", "django-q")}
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("django-q").setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(level)


def one(lines: Lines) -> dict:
    (entry,) = lines.entries
    return entry


def logged(error: BaseException, lines: Lines) -> dict:
    """Log an exception as the code that met it would."""
    try:
        raise error
    except type(error):
        logging.getLogger("x").exception("It failed.")
    return one(lines)


# --- What a line has --------------------------------------------------------------------------------------------------------
def test_a_line_of_json_has_time_level_logger_message_and_ids(lines):
    logging.getLogger("events.drain").warning("Call %s of %s ended.", 7, 5, extra=about(5, 7, "0199-aa"))
    entry = one(lines)
    time = datetime.fromisoformat(entry.pop("time"))
    assert time.tzinfo == UTC and abs((datetime.now(UTC) - time).total_seconds()) < 60
    assert entry == {
        "level": "WARNING",
        "logger": "events.drain",
        "message": "Call 7 of 5 ended.",
        "process": os.getpid(),
        "integration": 5,
        "call": 7,
        "delivery": "0199-aa",
    }


def test_other_fields_that_somebody_adds_to_a_record_are_left_out(lines):
    logging.getLogger("x").error("Bad", extra={"request": "planted.asha@mail.example.org", "customer": "Ashaplanted"})
    assert set(one(lines)) == {"time", "level", "logger", "message", "process"}


def test_a_message_of_several_lines_is_one_line_of_json(lines):
    logging.getLogger("x").error("one\ntwo\u2028three")
    assert "\n" not in lines.json[0] and one(lines)["message"] == "one\ntwo\u2028three"


def test_a_message_that_does_not_fit_its_arguments_is_still_a_line():
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%d of %d", ("Ashaplanted",), None)
    assert json.loads(logs.JsonFormatter().format(record))["message"] == "%d of %d"


def test_a_text_line_is_for_a_person(lines):
    logging.getLogger("events.sweep").info("Two were put back.")
    assert lines.text[0].endswith("Z INFO events.sweep: Two were put back.")


# --- Exceptions -------------------------------------------------------------------------------------------------------------
def test_an_exception_is_told_by_its_kind_and_place_without_its_words(lines):
    entry = logged(ValueError("bad name Ashaplanted Raoplanted"), lines)
    first, place, *_ = entry["exception"].splitlines()
    assert first == f"ValueError: {logs.WITHHELD}"
    assert "test_logs.py:" in place and place.endswith("in logged")


def test_the_cause_of_an_exception_is_told_in_the_same_way(lines):
    error = LeaseLost("3 deliveries of a call were no longer leased to it")
    error.__cause__ = KeyError("Ashaplanted")
    told = logged(error, lines)["exception"]
    assert told.startswith("events.stamping.LeaseLost: 3 deliveries of a call were no longer leased to it\n")
    assert f"caused by KeyError: {logs.WITHHELD}" in told and "Ashaplanted" not in told


def test_a_database_that_is_away_says_why_but_not_with_which_password(lines, settings):
    settings.DATABASES["default"]["PASSWORD"], kept = "hunter2-hunter2", settings.DATABASES["default"].get("PASSWORD")
    logs._secrets.cache_clear()
    try:
        told = logged(OperationalError("no route to db.internal hunter2-hunter2\nDETAIL: row (Ashaplanted)"), lines)["exception"]
    finally:
        settings.DATABASES["default"]["PASSWORD"] = kept
        logs._secrets.cache_clear()
    assert told.splitlines()[0] == f"django.db.utils.OperationalError: no route to db.internal {MASK}"
    assert "Ashaplanted" not in told


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("GET /cb?token=abc&x=1 done? yes", f"GET /cb?{MASK} done? yes"),
        ("Not Found: /webhooks/nector/s3cr3t/", f"Not Found: /webhooks/nector/{MASK}/"),
        ("Not Found: /callbacks/contlo/s3cr3t/click/", f"Not Found: /callbacks/contlo/{MASK}/click/"),
        ("Not Found: /t/o/s3cr3t.gif", f"Not Found: /t/o/{MASK}"),
        ("to asha.rao@example.com and +91 98765 43210", f"to {MASK} and {MASK}"),
        ("Call 1234567890 of integration 5", "Call 1234567890 of integration 5"),
    ],
)
def test_what_points_to_a_person_or_opens_a_door_is_masked_in_a_message(written, read):
    assert logs.clean(written) == read


def test_the_installations_own_secrets_are_masked():
    assert logs.clean(f"key {live.SECRET_KEY}, {live.FERNET_KEYS[0]}") == f"key {MASK}, {MASK}"


def run_in_a_cluster(function: str, argument: str) -> None:
    """Have django-q2's own worker and monitor run a task, in this process."""
    tasks, results, package = Queue(), Queue(), Parcel()
    async_task(function, argument, q_options={"broker": package, "save": False})
    tasks.put(SignedPackage.loads(package.package))
    tasks.put("STOP")
    worker(tasks, results, Value("f", -1))
    results.put("STOP")
    monitor(results)


# --- Everything at once -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_whole_journey_with_every_fault_at_debug_level_tells_nothing_of_a_person(lines, monkeypatch, rung):
    integration = make.definition().integration
    merchant = integration.merchant
    with responses.RequestsMock(assert_all_requests_are_fired=False) as provider:
        refused = {"status": "fail", "code": 513, "error": f"Restricted: {PLANTED['name']}.Skipped record number : 2"}
        for reply in (
            {"json": {"status": "partial", "processed": 1, "unprocessed": [refused]}},
            {"status": 500, "body": f"oops {PLANTED['email']}"},
            {"status": 429, "headers": {"Retry-After": "0"}},
            {"body": "<html>Ashaplanted</html>"},
            {"body": ConnectionResetError(PLANTED["phone"])},
            {"status": 401, "json": {"status": "fail", "error": f"Invalid CANARY-PASSCODE-42 {PLANTED['email']}"}},
        ):
            provider.add(responses.POST, make.UPLOAD, **reply)
            record(make.activity(merchant, PLANTED["customer_id"], recipient=PLANTED))
            EventDelivery.objects.update(first_failed_at=None)
            integration.refresh_from_db()
            integration.hold_until = None
            integration.save()
            drain(integration.pk)
        monkeypatch.setattr(type(integration.contract), "pack_events", lambda *_args: {}[PLANTED["name"]])
        make.Integration.objects.update(status="active", hold_until=None)
        record_many([make.activity(merchant, f"{PLANTED['customer_id']}-2", recipient=PLANTED)])
        drain(integration.pk)
        sweep()
    assert EventDelivery.objects.filter(status="failed", reason="internal").exists(), "our own error was met"
    for failing in ("builtins.int", "json.loads"):  # each quotes what it was given
        run_in_a_cluster(failing, PLANTED["name"])
    with override_settings(DEBUG=False, ALLOWED_HOSTS=["testserver"]):
        browser = Client(raise_request_exception=False)
        browser.get(f"/nowhere/?email={PLANTED['email']}")
        browser.get(f"/t/c/CANARY-PASSCODE-42?x={PLANTED['name']}")
        browser.get("/admin/integrations/invitation/join/CANARY-PASSCODE-42/")
        browser.get(reverse("admin:index"), HTTP_HOST=PLANTED["email"])
    told = "\n".join([*lines.text, *lines.json])
    assert {"django-q", "django.request", "events.packing", "events.pause"} <= {entry["logger"] for entry in lines.entries}
    assert [word for word in FORBIDDEN if word in told] == []
    assert any(entry.get("integration") == integration.pk for entry in lines.entries)
    assert any("delivery" in entry for entry in lines.entries)
    failed = [entry["message"] for entry in lines.entries if entry["message"].startswith("Failed ")]
    assert len(failed) == 2 and all(" - " in message and "Error at " in message for message in failed)


# --- Settings ---------------------------------------------------------------------------------------------------------------
def test_the_format_is_one_that_there_is(monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "JSON")
    assert one_of("LOG_FORMAT", ("text", "json"), "text") == "json"
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="LOG_FORMAT must be one of text, json; it is 'xml'"):
        one_of("LOG_FORMAT", ("text", "json"), "text")


@pytest.mark.parametrize(("given", "is_json"), [({}, True), ({"LOG_FORMAT": "text"}, False), ({"DEBUG": "true"}, False)], ids=str)
def test_with_debug_off_lines_are_json_unless_said_otherwise(tmp_path, given, is_json):
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": "s" * 50,
        "FERNET_KEYS": "f" * 32,
        "ALLOWED_HOSTS": "127.0.0.1",
        **given,
    }
    code = "import django, logging; django.setup(); logging.getLogger('events').warning('Hello')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "DJANGO_SETTINGS_MODULE": "nectorbridge.settings"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = result.stderr.splitlines()
    assert line.startswith("{") is is_json and "Hello" in line


def test_the_web_servers_own_lines_have_the_format(settings):
    from gunicorn.config import Config

    from nectorbridge.web_log import WebServerLog

    settings.LOG_FORMAT = "json"
    log = WebServerLog(Config())
    stream = io.StringIO()
    log.error_log.handlers[0].setStream(stream)
    log.warning("Worker for %s timed out", "planted.asha@mail.example.org")
    assert json.loads(stream.getvalue())["message"] == f"Worker for {MASK} timed out"
