"""A finished data set: its report, a browser of its images, and a preview of the augmentation."""

from itertools import chain, count

import cv2
import numpy as np
import streamlit as st

from backend.dataset.image_browser import FinishedSet, SetFile, SetImage, finished_sets
from backend.dataset.image_records import FLAG_TEXTS, Flag
from backend.dataset.report_html import as_html, as_part
from backend.masks import rle
from backend.masks.polygons import to_counts
from backend.project.errors import InputError
from backend.project.paths import resolve_under
from gui.widgets.context import project, refusals, settings
from gui.widgets.job_view import escape

SHOWN_PX, TILE_PX = 1600, 640
COLUMNS = 4


def show_done(name: str) -> None:
    """Show that a data set is ready, its size, and remarks about it."""
    done = next((each for each in finished_sets(project().coco_jsons) if each.name == name), None)
    if done is None:
        return
    train, val = done.report["by_side"]["train"], done.report["by_side"]["val"]
    st.success(
        f"The data set **{escape(name)}** is ready: {train['images']} images for training, {val['images']} for "
        f"validation, {done.report['instances']} outlines.",
        icon=":material/check_circle:",
    )
    st.markdown("\n".join(f"- {escape(line)}" for line in done.report["remarks"]))


def free_name(wanted: str = "lek") -> str:
    """Return a name that no finished set has."""
    taken = {each.name for each in finished_sets(project().coco_jsons)}
    return next(name for name in chain([wanted], (f"{wanted}-{number}" for number in count(2))) if name not in taken)


def choose_set() -> FinishedSet | None:
    """Let the user choose a finished set; say so, and return None, if there is none."""
    found = finished_sets(project().coco_jsons)
    if not found:
        st.info("No data set yet. Create one first.", icon=":material/dataset:")
        return None
    return st.selectbox(
        "Data set", found, format_func=lambda data_set: f"{data_set.name} ({data_set.report['images']} images)"
    )


def choose_file(chosen: FinishedSet) -> SetFile:
    """Let the user choose training or validation."""
    sides = {"Training": chosen.train} | ({"Validation": chosen.val} if chosen.val else {})
    side = st.segmented_control("Subset", list(sides), default="Training", required=True)
    path = sides[side]
    return scanned(str(path), path.stat().st_mtime)


@st.cache_resource(max_entries=4, show_spinner="Reading the data set")
def scanned(path: str, modified: float) -> SetFile:
    """Return a set ready to be looked through; ``modified`` keeps the cache true."""
    return SetFile(resolve_under(path, settings().roots))


def show_report(chosen: FinishedSet) -> None:
    """Draw the report in the page's own colours, with a download button."""
    st.subheader("Report")
    st.html(as_part(chosen.report, st.context.theme.type or "light"))
    file_name = f"{chosen.name}_report.html"
    st.download_button("Download report", as_html(chosen.report), file_name, "text/html", icon=":material/download:")


def browse(chosen: FinishedSet) -> None:
    """Draw one image at a time with boxes and masks, filtered by video, class and flag."""
    file = choose_file(chosen)
    videos = sorted({image.video for image in file.images})
    columns = st.columns(3)
    video = columns[0].selectbox("Video", ["", *videos], format_func=lambda name: name or "all videos")
    category = columns[1].selectbox(
        "Class", [0, *file.classes], format_func=lambda key: file.classes.get(key, "all classes")
    )
    flag = columns[2].selectbox(
        "Possible mistakes", ["", *Flag], format_func=lambda key: FLAG_TEXTS.get(key, "all images")
    )
    images = file.select(video or None, category or None, flag or None)
    if not images:
        st.info("No matching images.", icon=":material/filter_alt_off:")
        return
    image = choose_image(images, "browse")
    with refusals():
        picture = file.draw(image, settings().roots)
        st.image(
            reduced(picture, SHOWN_PX), caption=f"{image.file_name} · outlines: {len(image.lines)}", width="stretch"
        )


def choose_image(images: list[SetImage], where: str) -> SetImage:
    """Let the user step through images."""
    number = st.number_input(f"Image, 1 to {len(images)}", 1, len(images), 1, key=f"image-{where}-{len(images)}")
    image = images[int(number) - 1]
    st.caption(escape(f"{image.video}, frame {image.frame}"))
    return image


def show_augmentation(chosen: FinishedSet) -> None:
    """Draw one image under each transform with its masks."""
    st.caption(
        "Training varies each image a little: light, mirroring, rotation. "
        "The first images show one change each at full strength, the last ones are typical training images."
    )
    file = choose_file(chosen)
    if not file.images:
        return
    image = choose_image(file.images, "augmentation")
    seed = st.session_state.setdefault("coco-preview-seed", 0)
    if st.button("New samples", icon=":material/casino:"):
        st.session_state["coco-preview-seed"] = seed = seed + 1
    with refusals():
        from backend.training.augmentation_preview import (
            preview,  # loads torch: 700 MB that the app needs for nothing else
        )

        tiles = preview(*picture_and_labels(file, image), seed=seed)
        for row in range(0, len(tiles), COLUMNS):
            for column, (title, picture) in zip(st.columns(COLUMNS), tiles[row : row + COLUMNS], strict=False):
                column.image(picture, caption=title, width="stretch")


def picture_and_labels(file: SetFile, image: SetImage) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its label map at the size of a tile."""
    path = resolve_under(file.path.parent / image.file_name, settings().roots)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise InputError(f"{path} cannot be read")
    masks = [to_counts(entry["segmentation"], image.height, image.width) for entry in file.annotations(image)[:255]]
    labels = rle.paint(masks, image.height, image.width)
    size = (TILE_PX, max(1, round(TILE_PX * image.height / image.width)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small, cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def reduced(picture: np.ndarray, width: int) -> np.ndarray:
    """Return a picture of at most ``width`` px."""
    if picture.shape[1] <= width:
        return picture
    return cv2.resize(
        picture, (width, round(picture.shape[0] * width / picture.shape[1])), interpolation=cv2.INTER_AREA
    )
