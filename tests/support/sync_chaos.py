"""Replicas between random changes: `python -m tests.support.sync_chaos --steps 100000`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support import applications, chaos
from tests.support.processes import Server
from tests.support.sync_machine import SyncMachine

STEPS = 100  # with one user


def run(app: Flask, *, examples: int, steps: int, shrinks: bool = False) -> None:
    """Run random changes on an application."""
    machine = type("Machine", (SyncMachine,), {"app": app})
    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    options = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        print_blob=False,
    )
    run_state_machine_as_test(machine, settings=options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    options = parser.parse_args()
    databases = options.database or ["sqlite", "postgresql"]
    for kind in databases:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as name, chaos.stack(kind, Path(name)) as given:
            Server(Path(name), **given).migrate()
            app = applications.build(Path(name), **given)
            try:
                run(app, examples=max(1, options.steps // len(databases) // STEPS), steps=STEPS, shrinks=True)
            finally:
                applications.end(app)
        print(f"ok     sync, {kind}: {time.monotonic() - started:.0f} s, each replica equals the server", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
