from __future__ import annotations

import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime

import pytest

from nectorbridge.processes.tests.installation import (
    STALL_SECONDS,
    WORKERS,
    Cluster,
    Installation,
    Tree,
    children,
    free_port,
    wait_for,
)

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
]
HEALED_SECONDS = 30
WHOLE_TREE = 8 + WORKERS  # up, gunicorn and its worker, supervisor, cluster, sentinel, workers, monitor, pusher


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("migrated"))
    assert installation.run("migrate", "--verbosity", "0") == 0, installation.output("migrate")
    return installation.file


@pytest.fixture
def installation(tmp_path, migrated):
    installation = Installation(tmp_path)
    installation.use(migrated)
    return installation


def kill_until_it_hangs(installation, worker):
    for pid in Cluster(worker).workers:
        os.kill(pid, signal.SIGKILL)
        now = datetime.now(UTC)
        time.sleep(STALL_SECONDS * 2 / 3)  # at least two canaries are due
        if not installation.worked_since(worker, now):
            return
    pytest.fail("killing idle workers no longer hangs the cluster")


def test_a_worker_runs_canaries_and_sigterm_ends_all_of_it_quickly(installation):
    with installation.worker() as worker:
        tree = Tree(worker.pid)
        worker.terminate()
        assert worker.wait(10) == 0
        assert not tree.alive()
    assert installation.rows("SELECT * FROM events_worker") == []
    assert installation.rows("SELECT * FROM django_q_ormq") == []
    assert "Traceback" not in installation.output("worker")


def test_a_cluster_hung_by_a_killed_idle_worker_is_replaced_though_a_neighbour_shares_its_queue(installation):
    with installation.worker() as neighbour, installation.worker() as worker:
        kill_until_it_hangs(installation, worker)
        hung = Tree(Cluster(worker).main)
        healed_after = installation.wait_for_work(worker, HEALED_SECONDS)
        wait_for(lambda: installation.restarts(worker) == 1, 5, "the restart to be counted")
        assert not hung.alive()
        assert installation.restarts(neighbour) == 0
    sys.stdout.write(f"healed after {healed_after:.1f} s\n")


def test_a_cluster_whose_monitor_was_killed_is_replaced(installation):
    with installation.worker() as worker:
        os.kill(Cluster(worker).monitor, signal.SIGKILL)
        healed_after = wait_for(lambda: installation.restarts(worker) == 1, HEALED_SECONDS, "a restart")
        installation.wait_for_work(worker)
    assert "acknowledged no result" in installation.output("worker")
    sys.stdout.write(f"healed after {healed_after:.1f} s\n")


def test_a_killed_pusher_needs_no_restart(installation):
    with installation.worker() as worker:
        os.kill(Cluster(worker).pusher, signal.SIGKILL)
        time.sleep(STALL_SECONDS + 1)
        installation.wait_for_work(worker)
        assert installation.restarts(worker) == 0


def test_a_killed_sentinel_leaves_no_orphans_and_a_new_cluster_takes_over(installation):
    with installation.worker() as worker:
        cluster = Cluster(worker)
        tree = Tree(cluster.main)
        os.kill(cluster.sentinel, signal.SIGKILL)
        tree.wait_until_gone(3)
        healed_after = installation.wait_for_work(worker)
        wait_for(lambda: installation.restarts(worker) == 1, 5, "the restart to be counted")
    sys.stdout.write(f"healed after {healed_after:.1f} s\n")


def test_a_killed_supervisor_takes_its_tree_along_and_the_next_one_works(installation):
    with installation.worker() as worker:
        tree = Tree(worker.pid)
        worker.kill()
        worker.wait()
        tree.wait_until_gone(3)
    with installation.worker() as worker:
        installation.wait_for_work(worker)


def test_a_busy_cluster_is_not_taken_for_a_hung_one(installation):
    tasks = f"from django_q.tasks import async_task\nfor _ in range(4): async_task('time.sleep', {STALL_SECONDS + 1.5})"
    with installation.worker() as worker:
        assert installation.run("shell", "-v", "0", "-c", tasks) == 0
        wait_for(lambda: len(installation.rows("SELECT * FROM django_q_task WHERE success")) == 4, 20, "four long tasks")
        assert installation.restarts(worker) == 0


def test_up_says_in_one_line_that_the_port_is_taken(installation):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert installation.run("up", "--port", str(port)) == 1
    (line,) = installation.output("up").splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


@pytest.fixture
def up(installation):
    process = installation.start("up", "--port", str(free_port()))
    wait_for(lambda: "Ctrl-C stops everything" in installation.output("up"), 60, "up to be ready")
    yield process
    process.kill()
    process.wait()


def test_ctrl_c_on_up_ends_every_process_and_the_next_start_finds_its_administrator(installation, up):
    assert "Password: " in installation.output("up")
    wait_for(lambda: len(Tree(up.pid).members) == WHOLE_TREE, 10, "every process to be there")
    tree = Tree(up.pid)
    up.send_signal(signal.SIGINT)
    assert up.wait(10) == 0
    assert not tree.alive()
    (installation.folder / "up").unlink()
    again = installation.start("up", "--port", str(free_port()))
    wait_for(lambda: "Ctrl-C stops everything" in installation.output("up"), 60, "up to be ready")
    again.terminate()
    assert again.wait(10) == 0
    assert "Password: " not in installation.output("up")
    assert "changepassword admin" in installation.output("up")


def test_a_killed_up_takes_its_children_along(up):
    wait_for(lambda: len(Tree(up.pid).members) == WHOLE_TREE, 10, "every process to be there")
    tree = Tree(up.pid)
    up.kill()
    up.wait()
    tree.wait_until_gone(5)


def test_up_starts_a_killed_web_server_again(installation, up):
    web, _ = children(up.pid)
    os.kill(web, signal.SIGKILL)
    wait_for(lambda: len(children(up.pid)) == 2 and web not in children(up.pid), 10, "another web server")
    up.terminate()
    assert up.wait(10) == 0
