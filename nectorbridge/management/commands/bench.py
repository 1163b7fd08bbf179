"""`manage.py bench`: how fast, compared with what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from nectorbridge import __version__
from nectorbridge.bench.catalogue import BENCHMARKS, Benchmark
from nectorbridge.bench.home import described, temporary_home
from nectorbridge.bench.measure import PAIRS
from nectorbridge.bench.plans import write
from nectorbridge.bench.report import render
from nectorbridge.processes import tied

INSIDE = "nectorbridge.bench.inside"
NOT_MEASURED = "not measured"


class Command(BaseCommand):
    """Run benchmarks in throw-away installations; this installation's data is never touched."""

    help = "Benchmarks as ratios in one run: interleaved pairs, median and range, a control. Uses a database of its own."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)} (default: all)")
        parser.add_argument("--json", action="store_true", help="print the figures as JSON")
        parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs per benchmark (default: %(default)s)")
        parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
        parser.add_argument("--plans", type=Path, metavar="PAGE", help="put figures and query plans of `scale` into this page")
        parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure what was asked for, print it, and fail if a bar was clearly missed."""
        unknown = sorted(set(options["names"]) - set(BENCHMARKS))
        if unknown:
            raise CommandError(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
        if options["pairs"] < 1:
            raise CommandError("--pairs takes 1 or more.")
        if options["list"]:
            for benchmark in BENCHMARKS.values():
                self.stdout.write(f"{benchmark.name:10} {benchmark.title}")
            return
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up then, too
        chosen = [BENCHMARKS[name] for name in options["names"] or BENCHMARKS]
        try:
            results = [self._measure(benchmark, options) for benchmark in chosen]
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing is left behind.") from None
        except psycopg.Error as error:
            raise CommandError(f"No temporary database could be made: {' '.join(str(error).split())}") from None
        self._show(results, options)

    def _measure(self, benchmark: Benchmark, options: dict[str, Any]) -> dict[str, Any]:
        """Run one benchmark in an installation and a process of its own; return its result."""
        self.stderr.write(f"{benchmark.name}: {benchmark.title}")
        with temporary_home(benchmark.environment) as home:
            result = home.folder / "result.json"
            launcher = [sys.executable, tied.__file__, str(os.getpid()), INSIDE]
            size = "quick" if options["quick"] else "full"
            command = [*launcher, benchmark.name, str(options["pairs"]), size, str(result)]
            process = subprocess.Popen(command, env=dict(home.environment), cwd=home.folder)  # noqa: S603 - our own interpreter
            try:
                code = process.wait()
            finally:
                process.kill()  # its own children are tied to it and die with it
                process.wait()
            if code or not result.exists():
                raise CommandError(f"The benchmark {benchmark.name} ended with exit code {code}.")
            return json.loads(result.read_text()) | ({"verdict": NOT_MEASURED} if options["quick"] else {})

    def _show(self, results: list[dict[str, Any]], options: dict[str, Any]) -> None:
        """Print all results; tell the shell if a bar was missed."""
        if options["json"]:
            about = {"version": __version__, "installation": described(), "pairs": options["pairs"], "quick": options["quick"]}
            self.stdout.write(json.dumps(about | {"results": results}, indent=2))
        else:
            self.stdout.write(f"\n{described()}; {options['pairs']} pairs\n\n{render(results)}")
        for result in results:
            if options["plans"] and "plans" in result:
                write(result, options["plans"])
        missed = [result["name"] for result in results if result["verdict"] == "missed"]
        if missed:
            raise CommandError(f"Bar missed: {', '.join(missed)}.")
