import json
import os
import shutil
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from nectorbridge.bench import home as homes
from nectorbridge.bench import inside
from nectorbridge.bench.catalogue import BENCHMARKS
from nectorbridge.bench.home import PREFIX, is_throw_away, temporary_home
from nectorbridge.bench.recover import is_good
from nectorbridge.testing import installation


def bench(*arguments: str) -> str:
    output = StringIO()
    call_command("bench", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_the_list_names_every_benchmark_and_measures_nothing():
    assert [line.split()[0] for line in bench("--list").splitlines()] == list(BENCHMARKS)


@pytest.mark.parametrize(("arguments", "words"), [(["sprint"], "no benchmark sprint"), (["record", "--pairs", "0"], "--pairs")])
def test_what_cannot_be_measured_is_refused_in_one_line(arguments, words):
    with pytest.raises(CommandError, match=words):
        bench(*arguments)


def test_a_benchmark_refuses_to_run_in_the_users_installation(tmp_path):
    assert not is_throw_away()
    with pytest.raises(SystemExit, match="no throw-away installation"):
        inside.main("record", "1", "quick", str(tmp_path / "result"))
    assert not (tmp_path / "result").exists()


def test_an_installation_shares_no_key_nor_database_with_the_users_and_leaves_nothing():
    with temporary_home({"DELIVERY_LEASE_SECONDS": "6"}) as home:
        environment = home.environment
        assert home.folder.is_dir() and home.folder.name.startswith(PREFIX)
        assert PREFIX in environment["DATABASE_URL"]
        assert environment["DATABASE_URL"] != os.environ.get("DATABASE_URL")
        assert environment["SECRET_KEY"] != settings.SECRET_KEY
        assert environment["DELIVERY_LEASE_SECONDS"] == "6"
        assert environment["CLEVERTAP_BASE_URL"].startswith("http://127.0.0.1:")
    assert not Path(home.folder).exists()


@pytest.mark.parametrize(
    ("row", "good"),
    [
        (["monitor", 40, 3.0, 40, 0, 0, 0, 0, 0], True),
        (["call", 40, 9.0, 39, 1, 0, 0, 1, 1], True),
        (["nothing recorded", 0, 3.0, 0, 0, 0, 0, 0, 0], False),
        (["late", 40, 38.0, 40, 0, 0, 0, 0, 0], False),
        (["lost", 40, 3.0, 39, 0, 1, 0, 0, 0], False),
        (["stuck", 40, 3.0, 39, 0, 0, 1, 0, 0], False),
        (["surprise", 40, 3.0, 40, 0, 0, 0, 2, 1], False),
    ],
)
def test_a_kill_is_survived_only_if_nothing_is_lost_stuck_late_or_doubled_unknown(row, good):
    assert is_good(row, limit=37.0) is good


@pytest.fixture
def prepared(request, monkeypatch):
    """Begin with a copy of a migrated database: to migrate takes longer than most benchmarks. One alone begins with none."""
    empty = homes._database

    @contextmanager
    def copied(name, folder):
        with empty(name, folder) as url:
            if url.startswith("sqlite:///"):
                shutil.copyfile(installation._migrated_file(), url.removeprefix("sqlite:///"))
            yield url

    if request.node.callspec.params["name"] != next(iter(BENCHMARKS)):
        monkeypatch.setattr(homes, "_database", copied)


@pytest.mark.journey
@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.usefixtures("prepared")
def test_each_benchmark_runs_from_end_to_end(name):
    result = json.loads(bench(name, "--quick", "--pairs", "1", "--json"))
    assert result["quick"] and result["pairs"] == 1
    (figures,) = result["results"]
    assert figures["name"] == name
    if name == "recover":
        (row,) = figures["rows"]
        assert row[0] == "busy worker, in a call"
        assert is_good(row, limit=37.0)
    elif name == "scale":
        assert {name for name, *_figures in figures["rows"]} == set(figures["plans"]) and len(figures["rows"]) > 15
        assert figures["purge_rate"] > 0
    elif name == "memory":
        assert figures["rows"][-1][0] == "20,000"
    else:
        assert len(figures["ours"]) == len(figures["baseline"]) == len(figures["control"]) == 1
        assert figures["ours"][0] > 0
