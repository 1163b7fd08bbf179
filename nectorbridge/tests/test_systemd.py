"""The systemd units in docs: they parse, start what is there, and stop no sooner than the processes do."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
import requests
from django.core.management import load_command_class

from nectorbridge.management.commands.worker import GRACE_SECONDS
from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.testing.installation import installation, wait_for
from nectorbridge.testing.parts import free_port, is_ready
from nectorbridge.testing.units import HOME, Service

FOLDER = PROJECT_DIR / "docs" / "systemd"
UNITS = sorted(FOLDER.glob("nectorbridge*"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
END_SECONDS = 3.0  # a worker needs them after its grace
# What systemd knows, as far as the units use it: name and form of the value (systemd.unit(5), .service(5), .exec(5), .kill(5)).
TEXT, NUMBER, UNIT_NAMES = r".+", r"\d+", r"[\w@.-]+\.(service|target|timer)( [\w@.-]+\.(service|target|timer))*"
BOOLEAN = "yes|no"
KNOWN = {
    "Unit": {
        "Description": TEXT,
        "Documentation": r"(file:///|https://)\S+",
        "StartLimitIntervalSec": NUMBER,
        **dict.fromkeys(("Wants", "After", "PartOf"), UNIT_NAMES),
    },
    "Service": {
        "Type": "simple|exec|notify|oneshot",
        **dict.fromkeys(("User", "Group", "StateDirectory"), r"[a-z]+"),
        "WorkingDirectory": r"/\S+",
        "StateDirectoryMode": r"0[0-7]{3}",
        "UMask": r"0[0-7]{3}",
        "ExecStart": r"/\S+ .+",
        "Restart": "always",
        **dict.fromkeys(("RestartSec", "TimeoutStopSec"), NUMBER),
        "KillMode": "mixed|control-group",
        "OOMPolicy": "continue|stop|kill",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "RestrictAddressFamilies": r"AF_[A-Z0-9]+( AF_[A-Z0-9]+)*",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": "@system-service",
        "SystemCallErrorNumber": "EPERM",
        **dict.fromkeys(
            [
                "NoNewPrivileges",
                "PrivateTmp",
                "PrivateDevices",
                "ProtectHome",
                "ProtectClock",
                "ProtectHostname",
                "ProtectControlGroups",
                "ProtectKernelLogs",
                "ProtectKernelModules",
                "ProtectKernelTunables",
                "LockPersonality",
                "RestrictNamespaces",
                "RestrictRealtime",
                "RestrictSUIDSGID",
            ],
            BOOLEAN,
        ),
    },
    "Install": {"WantedBy": UNIT_NAMES},
}


def read(text):
    """Return {section: {directive: value}}; raises ValueError for what systemd would not take."""
    found, section = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line[0] in "#;":
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(heading[1], {})
            rules = KNOWN.get(heading[1])
            if rules is None:
                raise ValueError(f"line {number}: [{heading[1]}] is no section")
            continue
        name, mark, value = line.partition("=")
        if section is None or not mark or name not in rules:
            raise ValueError(f"line {number}: {name!r} is no directive here")
        if name in section or not re.fullmatch(rules[name], value):
            raise ValueError(f"line {number}: {name} is given twice, or cannot be {value!r}")
        section[name] = value
    return found


def unit(name):
    return read((FOLDER / name).read_text())


def command_of(name):
    """Return the arguments of a service's command behind its interpreter."""
    interpreter, *arguments = shlex.split(unit(name)["Service"]["ExecStart"])
    assert interpreter == f"{HOME}/.venv/bin/python"
    return arguments


def test_there_are_units_for_web_and_worker_and_both_together():
    assert [path.name for path in UNITS] == ["nectorbridge-web.service", "nectorbridge-worker.service", "nectorbridge.target"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_parses(path, tmp_path):
    read(path.read_text())
    if not (tool := shutil.which("systemd-analyze")):
        return  # what can be said without it is said above
    for source in UNITS:  # beside each other, as installed, with the interpreter that this machine has
        text = source.read_text().replace(f"{HOME}/.venv/bin/python", sys.executable).replace(HOME, str(PROJECT_DIR))
        (tmp_path / source.name).write_text(text)
    verified = subprocess.run([tool, "verify", tmp_path / path.name], capture_output=True, text=True, timeout=60, check=False)
    assert verified.returncode == 0, verified.stderr
    assert path.name not in verified.stderr, "no complaint of this unit"


@pytest.mark.parametrize(
    "wrong", ["[Unti]\n", "[Service]\nRestrat=always\n", "[Service]\nTimeoutStopSec=soon\n", "[Service]\nType\n", "User=a\n"]
)
def test_the_check_itself_finds_a_mistake(wrong):
    with pytest.raises(ValueError):
        read(wrong)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_services_belong_to_the_target_and_run_where_the_project_is(path):
    known = unit(path.name)
    assert known["Unit"]["PartOf"] == known["Install"]["WantedBy"] == "nectorbridge.target"
    assert path.name in unit("nectorbridge.target")["Unit"]["Wants"].split()
    assert known["Service"]["WorkingDirectory"] == HOME
    assert known["Service"]["KillMode"] == "mixed", "the main process ends its own"


def test_a_worker_is_given_the_time_that_it_takes_to_stop():
    script, name, *arguments = command_of("nectorbridge-worker.service")
    assert (script, name) == ("manage.py", "worker")
    options = load_command_class("nectorbridge", "worker").create_parser("manage.py", "worker").parse_args(arguments)
    assert options.grace == GRACE_SECONDS
    assert float(unit("nectorbridge-worker.service")["Service"]["TimeoutStopSec"]) > options.grace + END_SECONDS


def test_the_web_server_takes_its_arguments_and_the_time_to_stop():
    module, name, *arguments = command_of("nectorbridge-web.service")
    assert (module, name) == ("-m", "gunicorn")
    grace = float(arguments[arguments.index("--graceful-timeout") + 1])
    assert float(unit("nectorbridge-web.service")["Service"]["TimeoutStopSec"]) > grace
    command = [sys.executable, "-m", "gunicorn", *arguments, "--check-config"]
    checked = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.journey
def test_each_service_starts_and_stops_by_its_unit_as_written(store, tmp_path):
    """ExecStart, the notification that Type promises, then KillSignal and TimeoutStopSec. (ExecReload and ExecStop: none.)"""
    port = free_port()
    services = {path.stem.partition("-")[2]: Service(path, tmp_path, port) for path in SERVICES}
    assert not any({"ExecReload", "ExecStop"} & service.directives.keys() for service in services.values())
    assert services["web"].directives["Type"] == "notify"
    with installation(store, tmp_path) as place:
        try:
            services["web"].start(place.environment)
            assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200, "READY=1 was no lie"
            services["worker"].start(place.environment)
            wait_for(lambda: is_ready(port), 40, "the worker works")
        finally:
            took = {name: service.stop() for name, service in services.items()}
    assert {name: service.process.returncode for name, service in services.items()} == {"web": 0, "worker": 0}
    assert all(took[name] < service.seconds_to_stop for name, service in services.items()), took


@pytest.mark.journey
def test_what_does_not_stop_in_time_is_noticed(tmp_path):
    unit = tmp_path / "stubborn.service"
    unit.write_text((FOLDER / "nectorbridge-worker.service").read_text().replace("TimeoutStopSec=35", "TimeoutStopSec=1"))
    service = Service(unit, tmp_path, 0)
    ignoring = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    service.directives["ExecStart"] = f"{HOME}/.venv/bin/python -c {shlex.quote(ignoring)}"
    service.start(os.environ)
    wait_for(lambda: (tmp_path / "stubborn.log").read_bytes(), 20, "it ignores the signal")
    with pytest.raises(AssertionError, match=r"did not end within 1\.0 s"):
        service.stop()
    assert service.process.wait(10) == -signal.SIGKILL
