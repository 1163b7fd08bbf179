"""The process in which one benchmark runs: `nectorbridge.bench.inside NAME PAIRS SIZE RESULT_FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(name: str, pairs: str, size: str, result: str) -> None:
    """Migrate the throw-away database, measure, and leave the result as JSON in a file."""
    import django

    django.setup()
    from django.core.management import call_command

    from nectorbridge.bench.catalogue import BENCHMARKS, Options
    from nectorbridge.bench.home import is_throw_away

    if not is_throw_away():
        sys.exit("This is no throw-away installation; run: manage.py bench")
    call_command("migrate", interactive=False, verbosity=0)
    options = Options(int(pairs), size == "quick", _note)
    Path(result).write_text(json.dumps(BENCHMARKS[name].run(options)))


def _note(line: str) -> None:
    """Show progress where it does not mix with results."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
