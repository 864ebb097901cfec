"""A gallery of exported frames, one page at a time."""

import io
from collections.abc import Iterable
from pathlib import Path

import streamlit as st
from PIL import Image

from backend.project.paths import resolve_under

COLUMNS, ROWS = 6, 3


@st.cache_data(max_entries=500, show_spinner=False)
def small(path: str, modified: float, width: int = 320) -> bytes:
    """Return a picture as a JPEG of at most ``width`` pixels; ``modified`` keeps the cache true."""
    with Image.open(path) as picture:
        picture.thumbnail((width, width))
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def show_gallery(folder: Path, roots: Iterable[Path]) -> None:
    """Draw the ``%06d.png`` of ``folder``, if there are any, with their frame numbers."""
    pictures = sorted(folder.glob("[0-9]*.png")) if folder.is_dir() else []
    if not pictures:
        return
    st.subheader(f"{len(pictures)} exported frames")
    pages = -(-len(pictures) // (COLUMNS * ROWS))
    page = int(st.number_input(f"Page, 1 to {pages}", 1, pages, 1, key=f"gallery-{folder}")) if pages > 1 else 1
    shown = pictures[(page - 1) * COLUMNS * ROWS : page * COLUMNS * ROWS]
    for row in range(0, len(shown), COLUMNS):
        for column, path in zip(st.columns(COLUMNS), shown[row : row + COLUMNS], strict=False):
            real = resolve_under(path, roots)
            column.image(small(str(real), real.stat().st_mtime), caption=f"frame {int(path.stem)}", width="stretch")
