"""A host sets what is its own; all else that the apps read has a default, which the installation shares."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.conf import global_settings
from django.conf import settings as live

from events import conf as events_conf
from integrations import conf

ROOT = Path(conf.__file__).resolve().parent.parent
DEFAULTS = {**conf.DEFAULTS, **events_conf.DEFAULTS}
KEYS = {"FERNET_KEYS", "SECRET_KEY"}  # nobody can have them for somebody else


def names_read() -> set[str]:
    """Return every setting that the code of the two apps reads by `settings.NAME`."""
    found = set()
    for app in ("integrations", "events"):
        for path in (ROOT / app).rglob("*.py"):
            if {"tests", "migrations"} & set(path.parts):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "settings":
                    found.add(node.attr)
    return {name for name in found if name.isupper()}


def test_every_setting_that_is_read_is_djangos_a_key_or_has_a_default():
    read = names_read()
    assert "DELIVERY_LEASE_SECONDS" in read and "PUBLIC_URL" in read
    assert sorted(name for name in read if name not in DEFAULTS and name not in KEYS and not hasattr(global_settings, name)) == []


def test_what_a_host_leaves_out_is_filled_in_and_what_it_sets_stays(settings):
    settings.DELIVERY_WORKERS = 6
    for name in ("DELIVERY_WORKERS_PER_INTEGRATION", "RETENTION_TASK_DAYS"):
        delattr(settings, name)
    settings.PUBLIC_URL = "https://bridge.example.com"
    conf.fill_in(DEFAULTS)
    assert (live.DELIVERY_WORKERS_PER_INTEGRATION, live.RETENTION_TASK_DAYS) == (3, 7.0)
    assert live.PUBLIC_URL == "https://bridge.example.com"


@pytest.mark.parametrize(("cluster", "workers"), [({"workers": 2}, 2), ({}, 4)])
def test_the_number_of_workers_is_that_of_the_hosts_cluster(settings, cluster, workers):
    settings.Q_CLUSTER = cluster
    del settings.DELIVERY_WORKERS
    conf.fill_in(DEFAULTS)
    assert workers == live.DELIVERY_WORKERS
