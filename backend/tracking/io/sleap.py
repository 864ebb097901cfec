"""SLEAP files: ``.slp`` labels and analysis HDF5, written and read with h5py.

A bird is three points of a box, as SLEAP knows points: ``centre``, ``top left``, ``bottom right``. An instance's score
is 1 where the bird was detected and 0 where its box is interpolated; its tracking score is ``p_identity``. SLEAP's
origin is the middle of the first pixel, Lektrack's its corner: points are half a pixel less.

Of files made by SLEAP any skeleton is read: the box is that of all visible points, wider by a margin.
Layout: SLEAP's ``io/format/hdf5.py`` (format 1.2) and ``sleap_analysis``, both checked against `sleap-io`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.tracking.io.load_tracks import LoadedTracks
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, Tracks

NODES = ("centre", "top left", "bottom right")
HALF_PIXEL = 0.5
BLOCK = 1 << 17  # rows, or frames, written at once
PREDICTED = 1
FRAME = np.dtype(
    [("frame_id", "u8"), ("video", "u4"), ("frame_idx", "u8"), ("instance_id_start", "u8"), ("instance_id_end", "u8")]
)
INSTANCE = np.dtype(
    [
        ("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"), ("track", "i4"),
        ("from_predicted", "i8"), ("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8"),
        ("tracking_score", "f4"),
    ]
)  # fmt: skip
POINT = np.dtype([("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")])
PREDICTED_POINT = np.dtype([*POINT.descr, ("score", "f8")])


@dataclass(frozen=True)
class SleapVideo:
    """What a SLEAP file says of its video. ``size``: (width, height) px, None where unknown."""

    path: str
    frames: int
    size: tuple[int, int] | None


def write_slp(path: Path, tracks: Tracks, video: SleapVideo) -> None:
    """Write predicted instances of all tracks, unassigned ones included; lost birds have none."""
    rows = np.flatnonzero(tracks.state != State.LOST)
    numbers, first, track = np.unique(tracks.track_id[rows], return_index=True, return_inverse=True)
    names = [_name(tracks, int(row)) for row in rows[first]]
    frames, starts = np.unique(tracks.frame[rows], return_index=True)
    table = np.zeros(len(frames), FRAME)
    table["frame_id"], table["frame_idx"] = np.arange(len(frames)), frames
    table["instance_id_start"], table["instance_id_end"] = starts, np.append(starts[1:], len(rows))
    with _written(path) as out:
        about = out.create_group("metadata")
        about.attrs["format_id"] = 1.2
        about.attrs["json"] = np.bytes_(json.dumps(_skeleton()))
        out["videos_json"] = np.array([json.dumps(_video_json(video))], "S")
        spawned = tracks.frame[rows[first]].tolist()
        lines = [json.dumps([frame, name]) for frame, name in zip(spawned, names, strict=True)]
        out["tracks_json"] = np.array(lines, "S") if lines else np.zeros(0, "S1")
        out["suggestions_json"] = np.zeros(0, "S1")
        out["frames"] = table
        out["points"] = np.zeros(0, POINT)
        instances = out.create_dataset("instances", (len(rows),), INSTANCE)
        points = out.create_dataset("pred_points", (len(rows) * len(NODES),), PREDICTED_POINT)
        for begin in range(0, len(rows), BLOCK):
            end = min(begin + BLOCK, len(rows))
            ids, block = np.arange(begin, end), rows[begin:end]
            instances[begin:end] = _instances(tracks, ids, block, track[begin:end], frames)
            points[begin * len(NODES) : end * len(NODES)] = _points(tracks, block)


def write_analysis(path: Path, tracks: Tracks, video: SleapVideo) -> None:
    """Write the named birds as dense arrays in the axis order of SLEAP's own export; NaN where a bird is not seen."""
    n, birds = int(tracks.frames[-1]) + 1 if tracks.n_frames else 0, len(tracks.names)
    shapes = {
        "tracks": (birds, 2, len(NODES), n),
        "point_scores": (birds, len(NODES), n),
        "instance_scores": (birds, n),
        "tracking_scores": (birds, n),
    }
    with _written(path) as out:
        out["track_names"] = [name.encode() for name in tracks.names] or np.zeros(0, "S1")
        out["node_names"] = [name.encode() for name in NODES]
        out["edge_names"], out["edge_inds"] = np.zeros((0, 2), "S1"), np.zeros((0, 2), np.int64)
        out["labels_path"], out["provenance"] = "", json.dumps({"source": "Lektrack"})
        out["video_path"], out["video_ind"] = video.path, 0
        dense = {name: _dense(out, name, shape) for name, shape in shapes.items()}
        there = out.create_dataset("track_occupancy", (n, birds), "u1")
        for begin in range(0, n if birds else 0, BLOCK):
            end = min(begin + BLOCK, n)
            seen, points, scores = _block(tracks, begin, end)
            there[begin:end] = seen
            dense["tracks"][..., begin:end] = points.transpose(1, 3, 2, 0)  # T x B x nodes x 2 turned round
            dense["point_scores"][..., begin:end] = np.repeat(scores[0].T[:, None], len(NODES), 1)
            dense["instance_scores"][:, begin:end], dense["tracking_scores"][:, begin:end] = scores[0].T, scores[1].T


def read_slp(path: Path, video: str, margin_px: float) -> LoadedTracks:
    """Return the tracks of a ``.slp`` file; an instance placed by a person replaces the predicted one.

    ``video`` is the file name of the video, which selects one where the file holds several; a box is wider by
    ``margin_px`` on each side than the visible points.

    Raises
    ------
    InputError
        If the file is no labels file, or no instance in it has a track.
    """
    with _opened(path, ("frames", "instances", "pred_points", "tracks_json", "videos_json")) as data:
        number, size, n_frames = _video_of(path, [json.loads(line) for line in data["videos_json"][:]], video)
        names = [str(json.loads(line)[1]) for line in data["tracks_json"][:]]
        frames, instances = data["frames"][:], data["instances"][:]
        shift = HALF_PIXEL if float(data["metadata"].attrs["format_id"]) >= 1.1 else 0.0  # noqa: PLR2004 - format
        ours = _is_ours(data["metadata"].attrs["json"])
        bounds = np.full((len(instances), 4), np.nan)
        for kind, name in ((0, "points"), (PREDICTED, "pred_points")):
            own = instances["instance_type"] == kind
            bounds[own] = _bounds(path, instances[own], data[name][:])
    order = np.argsort(frames["frame_id"])
    index_of_frame = np.append(order, -1)[np.searchsorted(frames["frame_id"][order], instances["frame_id"])]
    if (index_of_frame < 0).any() or (frames["frame_id"][index_of_frame] != instances["frame_id"]).any():
        raise InputError(f"{path} is damaged: instances name frames that are not there")
    if instances["track"].max(initial=-1) >= len(names):
        raise InputError(f"{path} is damaged: instances name tracks that are not there")
    used = (frames["video"][index_of_frame] == number) & (instances["track"] >= 0) & np.isfinite(bounds[:, 0])
    if not used.any():
        raise InputError(f"{path} has no instance with a track; track the animals first, then import")
    rows = np.flatnonzero(used)
    frame, track = frames["frame_idx"][index_of_frame[rows]].astype(np.int64), instances["track"][rows].astype(np.int64)
    chosen = np.lexsort((instances["instance_type"][rows], track, frame))  # a person's before the predicted one
    again = (np.diff(frame[chosen]) == 0) & (np.diff(track[chosen]) == 0)
    again &= np.diff(instances["instance_type"][rows[chosen]].astype(int)) == 1
    chosen = np.delete(chosen, 1 + np.flatnonzero(again))
    rows = rows[chosen]
    score = instances["score"][rows].astype(np.float64)
    person = instances["instance_type"][rows] != PREDICTED
    bounds = bounds[rows] + shift
    return LoadedTracks(
        frame=frame[chosen],
        track=track[chosen],
        names=tuple(names),
        boxes=bounds + margin_px * (0 if ours else np.array([-1, -1, 1, 1])),
        interpolated=(score == 0) & ~person & ours,
        score=np.where(person, 1.0, score),
        p=instances["tracking_score"][rows] if ours else np.ones(len(rows)),
        left_out=int(np.sum(frames["video"][index_of_frame] == number)) - len(rows),
        points=None if ours else bounds,
        size=size,
        n_frames=n_frames,
    )


def read_analysis(path: Path, margin_px: float) -> LoadedTracks:
    """Return the tracks of an analysis HDF5; see `read_slp`."""
    with _opened(path, ("tracks", "track_names", "node_names")) as data:
        points = data["tracks"][:].astype(np.float64)  # B x 2 x nodes x T
        names = [name.decode() for name in data["track_names"][:]]
        ours = tuple(name.decode() for name in data["node_names"][:]) == NODES
        scores = [data[name][:] if name in data else None for name in ("instance_scores", "tracking_scores")]
    if points.ndim != 4 or points.shape[:2] != (len(names), 2):  # noqa: PLR2004 - the four axes above
        raise InputError(f"{path}: tracks have the shape {points.shape}, not (tracks, 2, nodes, frames)")
    known = np.isfinite(points).all(axis=1).any(axis=1)  # B x T
    frame, track = np.nonzero(known.T)
    points = points[track, :, :, frame]  # n x 2 x nodes
    boxes = np.hstack([np.nanmin(points, axis=2), np.nanmax(points, axis=2)]) if len(frame) else np.zeros((0, 4))
    boxes += HALF_PIXEL
    ones = np.ones(len(frame))
    score, p = (ones if each is None else np.nan_to_num(each[track, frame], nan=1.0) for each in scores)
    return LoadedTracks(
        frame=frame,
        track=track,
        names=tuple(names),
        boxes=boxes + margin_px * (0 if ours else np.array([-1, -1, 1, 1])),
        interpolated=(score == 0) & ours,
        score=score,
        p=p if ours else ones,
        points=None if ours else boxes,
        n_frames=known.shape[1],
    )


def _name(tracks: Tracks, row: int) -> str:
    code = tracks.identity[row]
    return tracks.names[code] if code != NONE else f"track {tracks.track_id[row]}"


def _skeleton() -> dict:
    skeleton = {
        "directed": True,
        "graph": {"name": "Lektrack box", "num_edges_inserted": 0},
        "links": [],
        "multigraph": True,
        "nodes": [{"id": number} for number in range(len(NODES))],
    }
    nodes = [{"name": name, "weight": 1.0} for name in NODES]
    empty = {"videos": [], "tracks": [], "suggestions": [], "negative_anchors": {}, "provenance": {}}
    return {"version": "2.0.0", "skeletons": [skeleton], "nodes": nodes, **empty}


def _is_ours(about: bytes | str) -> bool:
    return tuple(node.get("name") for node in json.loads(about)["nodes"]) == NODES


def _video_json(video: SleapVideo) -> dict:
    backend = {"type": "MediaVideo", "filename": video.path, "grayscale": False, "bgr": True, "dataset": ""}
    if video.size is not None:
        backend["shape"] = [video.frames, video.size[1], video.size[0], 3]
    return {"filename": video.path, "backend": {**backend, "input_format": ""}}


def _instances(tracks: Tracks, ids: np.ndarray, rows: np.ndarray, track: np.ndarray, frames: np.ndarray) -> np.ndarray:
    table = np.zeros(len(rows), INSTANCE)
    table["instance_id"], table["instance_type"], table["track"], table["from_predicted"] = ids, PREDICTED, track, -1
    table["frame_id"] = np.searchsorted(frames, tracks.frame[rows])
    table["score"] = tracks.state[rows] == State.DETECTED
    table["tracking_score"] = np.nan_to_num(tracks.p_identity[rows])
    table["point_id_start"], table["point_id_end"] = ids * len(NODES), (ids + 1) * len(NODES)
    return table


def _points(tracks: Tracks, rows: np.ndarray) -> np.ndarray:
    table = np.zeros((len(rows), len(NODES)), PREDICTED_POINT)
    xy = box_points(tracks.boxes[rows])
    table["x"], table["y"], table["visible"] = xy[..., 0], xy[..., 1], True
    table["score"] = (tracks.state[rows] == State.DETECTED)[:, None]
    return table.ravel()


def box_points(boxes: np.ndarray) -> np.ndarray:
    """Return (N, 3, 2) float64 points `NODES` in SLEAP's pixels of boxes (N, 4) ``x1 y1 x2 y2``."""
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    return np.stack([(low + high) / 2, low, high], axis=1) - HALF_PIXEL


def _dense(out: h5py.File, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    if not np.prod(shape):
        return out.create_dataset(name, shape, "f8")
    chunk = (*shape[:-1], min(shape[-1], BLOCK, 1 + (1 << 17) // int(np.prod(shape[:-1]))))
    fixed = {"chunks": chunk, "compression": "gzip", "compression_opts": 1, "fillvalue": np.nan}
    return out.create_dataset(name, shape, "f8", **fixed)


def _block(tracks: Tracks, begin: int, end: int) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return seen (T, B), points (T, B, 3, 2) and the two scores (T, B) of frames ``begin`` to ``end``."""
    first, last = np.searchsorted(tracks.frame, [begin, end])
    rows = first + np.flatnonzero((tracks.identity[first:last] != NONE) & (tracks.state[first:last] != State.LOST))
    shape, index_of_frame = (end - begin, len(tracks.names)), (tracks.frame[rows] - begin, tracks.identity[rows])
    seen = np.zeros(shape, np.uint8)
    points, score, p = np.full((*shape, len(NODES), 2), np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    seen[index_of_frame], points[index_of_frame] = 1, box_points(tracks.boxes[rows])
    score[index_of_frame], p[index_of_frame] = tracks.state[rows] == State.DETECTED, tracks.p_identity[rows]
    return seen, points, (score, p)


@contextmanager
def _written(path: Path) -> Iterator[h5py.File]:
    """Open a file that is whole or absent. HDF5 reads back what it writes, so it opens the temporary file by name."""
    with atomic_file(path) as file, h5py.File(file.name, "w") as out:
        yield out


@contextmanager
def _opened(path: Path, needed: tuple[str, ...]) -> Iterator[h5py.File]:
    """Open a file; raise InputError for anything wrong with its content."""
    try:
        with h5py.File(path, "r") as data:
            missing = [name for name in needed if name not in data]
            if missing:
                raise InputError(f"{path} has no {missing[0]}; is it a SLEAP file of this kind?")
            yield data
    except InputError:
        raise  # it says what is wrong, and is a ValueError, too
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as a SLEAP file: {type(error).__name__}: {error}") from error


def _video_of(path: Path, videos: list[dict], wanted: str) -> tuple[int, tuple[int, int] | None, int | None]:
    """Return the number by which frames refer to the video, its size (width, height) px and its number of frames.

    The number is the video's index, or that of its embedded images. Size and frames are None where they are not known.
    """
    backends = [video.get("backend", video) for video in videos]
    names = [str(b.get("filename") or video.get("filename", "")) for b, video in zip(backends, videos, strict=True)]
    same = [k for k, name in enumerate(names) if name.replace("\\", "/").rsplit("/", 1)[-1] == wanted]
    if len(videos) == 1:
        same = [0]
    if len(same) != 1:
        raise InputError(
            f"{path} holds {len(videos)} videos ({', '.join(names)[:300]}), none or several named {wanted}"
        )
    dataset = str(backends[same[0]].get("dataset") or "").split("/")[0]
    shape = backends[same[0]].get("shape")
    known = isinstance(shape, list) and len(shape) == 4 and all(isinstance(n, int) and n > 0 for n in shape)  # noqa: PLR2004 - frames, height, width, channels
    n_frames, size = (shape[0], (shape[2], shape[1])) if known else (None, None)
    if dataset[:5] == "video" and dataset[5:].isdigit():
        return int(dataset[5:]), size, None  # the frames are those of the embedded pictures alone
    return same[0], size, n_frames


def _bounds(path: Path, instances: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (N, 4) x1 y1 x2 y2 of each instance's visible points, NaN where it has none."""
    bounds = np.full((len(instances), 4), np.nan)
    if not len(instances):
        return bounds
    starts, ends = (instances[name].astype(np.int64) for name in ("point_id_start", "point_id_end"))
    if (starts < 0).any() or (ends < starts).any() or ends.max() > len(points):
        raise InputError(f"{path} is damaged: instances name points that are not there")
    there = points["visible"] & np.isfinite(points["x"]) & np.isfinite(points["y"])
    full = np.flatnonzero(ends > starts)
    n = ends[full] - starts[full]
    owner = np.repeat(np.arange(len(full)), n)
    index = np.repeat(starts[full] - np.concatenate([[0], np.cumsum(n)[:-1]]), n) + np.arange(n.sum())
    owner, index = owner[there[index]], index[there[index]]
    for side, (name, least) in enumerate((("x", np.inf), ("y", np.inf), ("x", -np.inf), ("y", -np.inf))):
        edge = np.full(len(full), least)
        (np.minimum if least > 0 else np.maximum).at(edge, owner, points[name][index])
        bounds[full, side] = np.where(np.isfinite(edge), edge, np.nan)
    return bounds
