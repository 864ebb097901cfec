"""The editor of zones: an own component (zone_*.js) that draws over a picture of the camera."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from backend.project.errors import InputError
from backend.zones.zone_file import Zones, parse_zones

HERE = Path(__file__).parent
PARTS = ("zone_geometry.js", "zone_panel.js", "zone_editor.js", "zone_keys.js")
EDITOR = st.components.v2.component(
    "lektrack_zone_editor",
    html='<div class="zones"></div>',
    css=(HERE / "zone_editor.css").read_text(),
    js="\n".join((HERE / part).read_text() for part in PARTS),
)


@dataclass(frozen=True)
class Edited:
    """What the editor says in this run: whether there are unsaved changes, and what is to be saved now."""

    changed: bool
    to_save: Zones | None
    based_on: int
    repair: bool


def edit_zones(key: str, zones: Zones, picture: bytes, picture_id: str, loaded: str, saved: str | None) -> Edited:
    """Draw the editor.

    Parameters
    ----------
    key
        Of the widget.
    zones
        What is saved now.
    picture
        JPEG of the size that the zones are for; sent again when ``picture_id`` changes.
    picture_id
        Names the picture.
    loaded
        ``CAMERA:VERSION``. Another one loads ``zones`` anew, but never over unsaved changes: those stay, or come back
        when their camera is chosen again.
    saved
        ``CAMERA:VERSION`` that was saved last from this page: it holds the changes, and is loaded over them.

    Raises
    ------
    InputError
        If what is to be saved is not allowed.
    """
    result = EDITOR(
        key=key,
        data={
            "picture": f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}",
            "picture_id": picture_id,
            "loaded": loaded,
            "saved": saved,
            "version": zones.version,
            "size": list(zones.image_size),
            "content": zones.model_dump(mode="json", include={"zones", "scale"}),
        },
        on_dirty_change=lambda: None,
        on_save_change=lambda: None,
    )
    asked = result.save if isinstance(result.save, dict) else None
    changed = result.dirty == loaded
    if asked is None:
        return Edited(changed, None, zones.version, False)
    return Edited(changed, _content(zones, asked), int(asked.get("base", -1)), bool(asked.get("repair")))


def _content(zones: Zones, asked: dict[str, Any]) -> Zones:
    scale = asked.get("scale")
    if isinstance(scale, dict) and scale.get("points"):
        scale = {name: value for name, value in scale.items() if name != "image_to_ground"}
    if not isinstance(asked.get("zones"), list):
        raise InputError("the editor sent no zones; reload the page")
    return parse_zones({"image_size": list(zones.image_size), "scale": scale, "zones": asked["zones"]})
