"""Which image folder goes with which mask folder: one row a pair, with a picture that shows whether they fit."""

import io
from pathlib import Path

import streamlit as st
from PIL import Image

from backend.dataset.proposals import PairFacts, look_at, project_folders, propose, thumbnail
from backend.masks.objects import FRAMES, OBJECTS
from backend.project.errors import InputError
from backend.project.paths import resolve_under
from gui.widgets.context import project, settings
from gui.widgets.file_picker import pick_files
from gui.widgets.job_view import escape

NONE = "(none)"
EXTRA = "coco-extra-folders"
THUMBNAIL_PX = 300


def choose_pairs() -> list[tuple[Path, Path, PairFacts]]:
    """Draw a row for every image folder and return the pairs that are ticked, in order."""
    images, masks = known_folders()
    proposed = propose(images, masks)
    if not images:
        st.info("Export frames first, or add other folders below.", icon=":material/photo_library:")
    chosen = []
    for folder in images:
        pair = choose_pair(len(chosen) + 1, folder, masks, proposed.get(folder))
        if pair is not None:
            chosen.append((folder, *pair))
    add_folders()
    return chosen


def known_folders() -> tuple[list[Path], list[Path]]:
    """Return image and mask folders: the project's, then those added here."""
    extra = st.session_state.setdefault(EXTRA, ([], []))
    images, masks = project_folders(project())
    return [*images, *(path for path in extra[0] if path not in images)], [
        *masks,
        *(path for path in extra[1] if path not in masks),
    ]


def choose_pair(number: int, images: Path, masks: list[Path], proposed: Path | None) -> tuple[Path, PairFacts] | None:
    """Draw one row; return mask folder and facts if it is ticked and has one."""
    with st.container(border=True):
        tick, names, facts_column, picture = st.columns([0.06, 0.34, 0.36, 0.24], vertical_alignment="center")
        ticked = tick.checkbox(
            f"Use {images.name}", proposed is not None, key=f"use-{images}-{proposed}", label_visibility="collapsed"
        )
        tick.markdown(f"**{number}**" if ticked else "")
        names.markdown(f"**{escape(images.name)}**", help=str(images))
        options = [NONE, *map(str, masks)]
        wanted = names.selectbox(
            f"Masks of {images.name}",
            options,
            options.index(str(proposed)) if proposed else 0,
            format_func=lambda path: path if path == NONE else f"{Path(path).parent.name}/{Path(path).name}",
            key=f"masks-{images}-{proposed}",
        )
        if wanted == NONE:
            facts_column.caption("No masks. Outline birds in this video on the Annotation page.")
            return None
        facts = facts_of(str(images), wanted, stamp(images, Path(wanted)))
        with facts_column:
            show_facts(facts, images, Path(wanted))
        if facts.example:
            show_example(picture, *facts.example)
        return (Path(wanted), facts) if ticked else None


def show_facts(facts: PairFacts, *folders: Path) -> None:
    """Draw how many frames have both, the classes, and what does not match; files in ``folders`` by name alone."""
    words = [f"{len(facts.numbers)} images with a mask"]
    if facts.reviewed is not None:
        words.append(f"{facts.reviewed} of them drawn or accepted")
    words.append(f"classes: {', '.join(facts.classes)}" if facts.classes else f"no {OBJECTS}")
    st.markdown(escape(" · ".join(words)))
    for line in facts.lines:
        for folder in folders:
            line = line.replace(f"{folder}/", "")
        st.warning(escape(line))
    if facts.lines:
        st.caption("To continue without them, choose *Skip frames that do not match* under *More settings*.")


def show_example(column: st.delta_generator.DeltaGenerator, image: str, mask: str) -> None:
    """Draw a thumbnail with its mask, which shows whether the folders belong together."""
    try:
        real = [resolve_under(path, settings().roots) for path in (image, mask)]
        column.image(overlay_jpeg(*map(str, real), tuple(path.stat().st_mtime for path in real)), width="stretch")
    except (InputError, OSError) as error:
        column.warning(escape(str(error)))


def add_folders() -> None:
    """Let the user add other folders under the allowed roots."""
    some = any(st.session_state[EXTRA])  # a row more above closes it otherwise, between image and mask folders
    with st.expander("Other folders", expanded=some, icon=":material/create_new_folder:"):
        st.caption("Add image folders and mask folders. Folders with the same name are paired.")
        for place, (column, what) in enumerate(zip(st.columns(2), ("image", "mask"), strict=True)):
            with column:
                added = pick_files(f"coco-{what}", "folder", f"Add {what} folders")
            if new := [path for path in added if path not in st.session_state[EXTRA][place]]:
                st.session_state[EXTRA][place].extend(new)
                st.rerun()


def stamp(*folders: Path) -> float:
    """Return when one of the folders or what stands beside the masks was last changed, so that caches stay true."""
    paths = [path for folder in folders for path in (folder, folder / OBJECTS, folder / FRAMES)]
    return sum(path.stat().st_mtime for path in paths if path.exists())


@st.cache_data(max_entries=100, show_spinner="Checking folders")
def facts_of(images: str, masks: str, changed: float) -> PairFacts:
    """Return what is known of a pair; ``changed`` keeps the cache true."""
    return look_at(Path(images), Path(masks))


@st.cache_data(max_entries=200, show_spinner=False)
def overlay_jpeg(image: str, mask: str, changed: tuple[float, ...]) -> bytes:
    """Return a small picture with its mask as a JPEG; ``changed`` keeps the cache true."""
    buffer = io.BytesIO()
    Image.fromarray(thumbnail(image, mask, THUMBNAIL_PX)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
