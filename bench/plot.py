"""A bar for each figure beside its bound, as one SVG file."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

LINE = 22
LEFT = 380
WIDTH = 320  # pixels
GOOD = "#2a7"
BAD = "#c33"
FREE = "#89a"
Row = tuple[str, float, str, float | None, bool]  # what, value, unit, bound, whether more is better


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw rows; each bar is as long as its value is of the larger of value and bound, a mark stands at the bound."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 120}" height="{LINE * (len(rows) + 1)}" '
        'font-family="sans-serif" font-size="12">'
    ]
    for number, (what, value, unit, bound, more) in enumerate(rows):
        top = LINE * number + 6
        longest = max(value, bound or 0.0, 1e-9)
        missed = bound is not None and (value < bound if more else value > bound)
        colour = FREE if bound is None else BAD if missed else GOOD
        parts.append(f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(what)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{top}" width="{WIDTH * value / longest:.1f}" height="14" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 8}" y="{top + 12}">{value:.3f} {escape(unit)}</text>')
        if bound is not None:
            at = LEFT + WIDTH * bound / longest
            parts.append(f'<path d="M{at:.1f} {top - 2}v18" stroke="#000"/>')
    path.write_text("\n".join([*parts, "</svg>"]))
