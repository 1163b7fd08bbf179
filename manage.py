#!/usr/bin/env python
"""Nectorbridge's command line.

`setup` is the one command that runs before anything is installed, so this file keeps to syntax and modules that any
Python 3 has, and says in one line what is missing.
"""

import os
import subprocess
import sys

OLDEST_PYTHON = (3, 11)
VENV = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".venv")


def stop(line: str) -> None:
    """End with one line on standard error that says what is wrong and what to do."""
    sys.stderr.write("nectorbridge: %s\n" % line)
    sys.exit(1)


def setup(arguments: list) -> None:
    """Make `.venv` beside this file and install the requirements (`--dev`: those of the tests and CI as well).

    First from the lock file: every package beneath in one version, each file by its hash. An index that has other files (one
    that builds its own, or is not complete) cannot serve that; then the pinned requirements are installed without hashes, and
    a line says so. `--locked` refuses that.
    """
    if set(arguments) - {"--dev", "--locked"}:
        stop("setup takes only --dev and --locked; got %s" % " ".join(arguments))
    python = os.path.join(VENV, "bin", "python")
    name = "requirements-dev" if "--dev" in arguments else "requirements"
    if not os.path.exists(python) and subprocess.call([sys.executable, "-m", "venv", VENV]) != 0:
        stop("could not create .venv; on Debian or Ubuntu: apt-get install python3-venv, then run this again")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    here = os.path.dirname(VENV)
    if subprocess.call([*install, "--require-hashes", "-r", name + ".lock"], cwd=here) == 0:
        return
    if "--locked" in arguments:
        stop("could not install %s.lock; pip's own message is above" % name)
    sys.stderr.write("nectorbridge: this package index cannot serve %s.lock; installing %s.txt without hashes\n" % (name, name))
    if subprocess.call([*install, "-r", name + ".txt"], cwd=here) != 0:
        stop("could not install %s.txt; pip's own message is above. Check the network and run this again" % name)


def main() -> None:
    """Hand over to Django, after everything that can be said in one line has been checked."""
    if sys.version_info < OLDEST_PYTHON:
        stop("needs Python %d.%d or newer; this is %d.%d" % (OLDEST_PYTHON + sys.version_info[:2]))
    if sys.argv[1:2] == ["setup"]:
        return setup(sys.argv[2:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nectorbridge.settings")
    try:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError as error:
        stop("%s is not installed; run: python3 manage.py setup, then .venv/bin/python manage.py ..." % error.name)
    try:
        settings.INSTALLED_APPS  # noqa: B018 - reading it loads the settings, and their complaints
    except ImproperlyConfigured as error:
        stop(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
