"""Which zones a video has. Track, Inference, Statistics, Zones and the board all ask here.

Zones belong to a camera; a video without a camera counts as a camera of its own, named like the video's slug.
"""

from pathlib import Path

from backend.project.locks import output_lock
from backend.project.paths import Project
from backend.video.library import VideoRecord, get_video, list_videos, update_video
from backend.zones.zone_file import copy_zones, own_zones_path, path_to_save, zones_path


def camera_of(record: VideoRecord) -> str:
    """Return the name under which a video's zones are kept: its camera, or its slug where it has none."""
    return record.camera or record.slug


def zones_of_video(project: Project, record: VideoRecord) -> Path:
    """Return the zone file of a video; it need not exist.

    That is the file of its camera. Where the camera has none, it is the file that was drawn for the video before its
    camera was named, unless that file is another camera's.
    """
    path = zones_path(project, camera_of(record))
    if path.exists() or not record.camera:
        return path
    own = zones_path(project, record.slug)
    others = {zones_path(project, other.camera) for other in list_videos(project) if other.camera}
    return own if own.exists() and own not in others else path


def path_to_save_for(project: Project, record: VideoRecord) -> Path:
    """Return the file of the video's camera, to save zones in; what the video has now is copied there first."""
    present, path = zones_of_video(project, record), path_to_save(project, camera_of(record))
    if present != path and not path.exists() and present.exists():
        copy_zones(present, path)
    return path


def change_camera(project: Project, video: str, camera: str, keep_zones: bool = True) -> VideoRecord:
    """Give a video another camera, or a first one, and take its zones along with all their versions.

    A camera that has zones keeps them: they are then the video's, too. The old camera's file stays as it is.

    Raises
    ------
    InputError
        If there is no such video or the name is not allowed; nothing is changed then.
    """
    before = get_video(project, video)
    zones = zones_of_video(project, before)
    after = update_video(project, video, camera=camera)
    if keep_zones and after.camera != before.camera and zones.exists():
        target = own_zones_path(project, camera_of(after))
        with output_lock(target.parent / "history"):
            if not target.exists() and not _has_zones_under_plain_name(project, after):
                copy_zones(zones, target)
    return after


def _has_zones_under_plain_name(project: Project, record: VideoRecord) -> bool:
    """Whether the video joins a camera whose zones were saved under its plain name (see `zones_path`)."""
    joined = any(other.camera == record.camera for other in list_videos(project) if other.slug != record.slug)
    return joined and zones_path(project, camera_of(record)).exists()
