"""Small drawings as SVG text, without a plotting library: they scale, follow light and dark, and need no script.

Colours are CSS variables of the page: ``--series-1`` and so on, ``--ink``, ``--faint``. Every bar has a tooltip.
"""

from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT, WIDE = 560, 240, 1180
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 12, 42
MOST_LABELS = 14


def stacked_bars(
    labels: Sequence[str], series: Mapping[str, Sequence[int]], x_title: str, y_title: str, colours: Sequence[str]
) -> Markup:
    """Draw one stacked bar a label; ``series`` maps a name to one count a label, ``colours`` are CSS colours."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    top = nice_ceiling(max(totals, default=1))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    step = wide / max(1, len(labels))
    parts = [_axis(top, y_title)]
    for place in range(len(labels)):
        y = TOP + high
        for (name, values), colour in zip(series.items(), colours, strict=True):
            tall = high * values[place] / top
            if values[place]:
                y -= tall
                parts.append(
                    f'<rect x="{LEFT + step * place + step * 0.08:.1f}" y="{y:.1f}" width="{step * 0.84:.1f}" '
                    f'height="{tall:.1f}" fill="{colour}"><title>{escape(labels[place])}: {values[place]} '
                    f"{escape(name)}</title></rect>"
                )
    every = max(1, -(-len(labels) // MOST_LABELS))
    for place in range(0, len(labels), every):
        parts.append(_text(LEFT + step * (place + 0.5), HEIGHT - BOTTOM + 16, labels[place], "middle"))
    parts.append(_text(LEFT + wide / 2, HEIGHT - 6, x_title, "middle", "title"))
    return _svg(WIDTH, HEIGHT, parts, f"{y_title} by {x_title}")


def level_bars(
    labels: Sequence[str], series: Mapping[str, Sequence[int]], colours: Sequence[str], label_width: int = 170
) -> Markup:
    """Draw one horizontal stacked bar a label, with the total behind it."""
    row, wide = 26, WIDTH - label_width - 70
    top = max([sum(values) for values in zip(*series.values(), strict=True)], default=1) or 1
    parts = []
    for place, label in enumerate(labels):
        x, y = float(label_width), row * place
        for (name, values), colour in zip(series.items(), colours, strict=True):
            long = wide * values[place] / top
            if values[place]:
                parts.append(
                    f'<rect x="{x:.1f}" y="{y + 4}" width="{long:.1f}" height="{row - 8}" fill="{colour}">'
                    f"<title>{escape(label)}: {values[place]} {escape(name)}</title></rect>"
                )
            x += long
        parts.append(_text(label_width - 8, y + row / 2 + 4, shorten(label, label_width // 7), "end"))
        parts.append(_text(x + 6, y + row / 2 + 4, str(sum(values[place] for values in series.values())), "start"))
    return _svg(WIDTH, max(row, row * len(labels)), parts, "counts")


def heat_map(grid: Sequence[Sequence[int]], aspect: float, what: str) -> Markup:
    """Draw a grid of counts, rows from the top; ``aspect`` is the picture's width by its height."""
    most = max((value for row in grid for value in row), default=0) or 1
    high = WIDTH / aspect
    step_x, step_y = WIDTH / len(grid[0]), high / len(grid)
    parts = [f'<rect width="{WIDTH}" height="{high:.1f}" class="frame"/>']
    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            if value:
                parts.append(
                    f'<rect x="{x * step_x:.1f}" y="{y * step_y:.1f}" width="{step_x + 0.3:.1f}" '
                    f'height="{step_y + 0.3:.1f}" fill="var(--series-1)" fill-opacity="{0.1 + 0.9 * value / most:.2f}">'
                    f"<title>{value} {escape(what)}</title></rect>"
                )
    return _svg(WIDTH, high, parts, f"where in the picture {what} are")


def strips(
    rows: Sequence[tuple[str, Sequence[Sequence[int]]]], colours: Sequence[str], label_width: int = 170
) -> Markup:
    """Draw for each video what became of its frames along time.

    ``rows``: name, and pieces ``[first frame, last frame, side, images]``; ``colours`` by side.
    """
    row, wide = 26, WIDE - label_width - RIGHT
    parts = []
    for place, (name, pieces) in enumerate(rows):
        y = row * place
        first = min((piece[0] for piece in pieces), default=0)
        span = max((piece[1] for piece in pieces), default=0) - first + 1
        parts.append(_text(label_width - 8, y + row / 2 + 4, shorten(name, label_width // 7), "end"))
        parts.append(f'<rect x="{label_width}" y="{y + 12}" width="{wide}" height="2" class="frame"/>')
        for start, end, side, images in pieces:
            x, long = label_width + wide * (start - first) / span, max(1.0, wide * (end - start + 1) / span)
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 4}" width="{long:.1f}" height="{row - 8}" fill="{colours[side]}">'
                f"<title>frames {start} to {end}: {images} images</title></rect>"
            )
    return _svg(WIDE, max(row, row * len(rows)), parts, "frames of each video along time")


def nice_ceiling(value: float) -> int:
    """Return the smallest 1, 2, 3, 4, 6 or 8 times a power of ten that is at least ``value`` (and at least 1)."""
    power = 1
    while True:
        for factor in (1, 2, 3, 4, 6, 8):
            if factor * power >= value:
                return factor * power
        power *= 10


def shorten(text: str, letters: int) -> str:
    """Return ``text`` with its middle cut out if it has more than ``letters``."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _axis(top: int, title: str) -> str:
    high = HEIGHT - TOP - BOTTOM
    ticks = sorted({0, top // 2, top})
    lines = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{TOP + high * (1 - tick / top):.1f}" '
        f'y2="{TOP + high * (1 - tick / top):.1f}" class="grid"/>'
        + _text(LEFT - 6, TOP + high * (1 - tick / top) + 4, str(tick), "end")
        for tick in ticks
    ]
    middle = TOP + high / 2
    place = f'transform="translate(12 {middle}) rotate(-90)" text-anchor="middle"'
    return "".join(lines) + f'<text {place} class="title">{escape(title)}</text>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _svg(width: float, height: float, parts: Sequence[str], name: str) -> Markup:
    body = "".join(parts)
    frame = f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(name)}"'
    return Markup(f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>{body}</svg>')  # noqa: S704 - escaped in the parts
