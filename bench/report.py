"""The report of a benchmark: each row is printed at once, with its bound, and kept as JSON and as a plot."""

import json

from bench.plot import Row, draw
from tests.support.processes import ROOT

RESULTS = ROOT / "bench" / "results"


class Report:
    """The rows of one benchmark."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.rows: list[Row] = []

    def tell(self, what: str, value: float, unit: str = "", bound: float | None = None, *, more: bool = True) -> None:
        """Add a row and print it; `bound` is the least value, or the greatest where less is better."""
        self.rows.append((what, value, unit, bound, more))
        missed = bound is not None and (value < bound if more else value > bound)
        limit = "" if bound is None else f"  (must: {'at least' if more else 'at most'} {bound:g})"
        verdict = "" if bound is None else "MISSED" if missed else "ok"
        print(f"{verdict:6} {what:58} {value:9.3f} {unit}{limit}", flush=True)

    def missed(self) -> int:
        """Return how many bounds were missed."""
        return sum(
            bound is not None and (value < bound if more else value > bound) for _, value, _, bound, more in self.rows
        )

    def write(self) -> None:
        """Keep the rows as JSON and as a plot."""
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self._name}.json").write_text(json.dumps(self.rows, indent=1))
        draw(self.rows, RESULTS / f"{self._name}.svg")
