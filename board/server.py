"""The board's server: its page and a JSON interface for it.

Every change is a POST with the version of the log it was made on (409 if the log has grown) and a key (a request sent
twice is applied once). The answer comes once the change is on the disk, and is the whole state, as from
``GET api/state``.
"""

import gzip
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from backend.masks.colours import as_hex, colour_of
from backend.project.errors import InputError
from backend.project.settings import Settings
from backend.tracking.tracks.tracks import NONE, Tracks
from backend.video.frame_cache import Crop
from backend.video.proxies import WIDTH
from backend.web.gate import protect
from backend.web.http_errors import exception_handlers
from backend.web.page_identity import SameWork, kept_an_hour
from backend.web.pages import page_routes
from backend.web.person import name_of
from backend.web.request_body import read_json
from board.anchored_doubts import Doubt, rows_of
from board.clips import clip
from board.load_board import Board, zone_outlines
from board.mask_brush import drawn_frames, label_map, row_labels, with_mask
from board.requests import ActRequest, Turn, checked
from board.session import View, agreement, audit, audit_moment, reviewed_share

STATIC = Path(__file__).with_name("static")
MAX_BODY = 2 * 1024**2  # a drawn mask takes at most half of that
MAX_FRAMES = 2000  # of one answer with rows
MIN_WIDTH, MAX_WIDTH = 32, 8192
CLIP_MARGIN_S = 1.5  # before and after a doubt
CLIP_ASPECT = 1.5  # width to height
RECENT_ACTS = 30


class BoardApi:
    """The routes of one open board; ``app_address`` returns the web app's address for the Host header of a request."""

    def __init__(self, board: Board, app_address: Callable[[str | None], str] = lambda _: ""):
        self._board, self._session, self._app_address, self.work = board, board.session, app_address, board.work
        self._instance = secrets.token_hex(8)

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes of the server."""
        return [
            *page_routes(STATIC),
            Route("/api/state", self._state),
            Route("/api/pulse", self._pulse),
            Route("/api/frames/{frame:int}", self._frame),
            Route("/api/others", self._others),
            Route("/api/others/{video}/frames/{frame:int}", self._other_frame),
            Route("/api/masks/{frame:int}", self._mask),
            Route("/api/rows/{first:int}/{last:int}", self._rows),
            Route("/api/lanes", self._lanes),
            Route("/api/queue", self._queue),
            Route("/api/doubts/{doubt:int}", self._card),
            Route("/api/loops/{doubt:int}", self._loop),
            Route("/api/gaps/{track:int}/{frame:int}", self._candidates),
            Route("/api/log", self._log),
            Route("/api/audit", self._audit),
            Route("/api/preview", self._post(
                ActRequest, lambda given, request: self._session.preview(self._with_mask(given))), methods=["POST"]),
            Route("/api/act", self._post(ActRequest, self._changed(
                lambda given, who: self._session.act(self._with_mask(given), who))), methods=["POST"]),
            Route("/api/turn", self._post(Turn, self._changed(self._session.turn)), methods=["POST"]),
        ]  # fmt: skip

    # frames and masks

    def _frame(self, request: Request) -> Response:
        """Answer a frame or a crop of it, or with ``quick=1`` the proxy video's frame if there is one."""
        frames, quick = self._board.frames, request.query_params.get("quick") == "1"
        frame = frames.check(request.path_params["frame"])
        width = _number(request, "width", WIDTH if quick else frames.size[0], MIN_WIDTH, MAX_WIDTH)
        crop = _crop(request, frames.size)
        source = self._board.proxy if quick and crop is None and self._board.proxy is not None else frames
        data = source.jpeg(frame, width, crop)
        return Response(data, media_type="image/jpeg", headers=kept_an_hour(request))

    def _others(self, request: Request) -> Response:
        return JSONResponse({"videos": self._board.others.listed()})

    def _other_frame(self, request: Request) -> Response:
        """Answer a frame of another video of the project, as for the board's own."""
        wanted, quick = request.path_params, request.query_params.get("quick") == "1"
        width = _number(request, "width", WIDTH if quick else MAX_WIDTH, MIN_WIDTH, MAX_WIDTH)
        data = self._board.others.jpeg(wanted["video"], wanted["frame"], width, quick)
        return Response(data, media_type="image/jpeg", headers=kept_an_hour(request))

    def _mask(self, request: Request) -> Response:
        """Answer x, y, width, height (uint32) of the masks' bounding box, then its labels (uint8, see `row_labels`)."""
        frames, tracks = self._board.frames, self._session.view.tracks
        frame = frames.check(request.path_params["frame"])
        labels = label_map(tracks, frame, self._board.masks.at(frame), frames.size)
        rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
        y, x = (slice(each[0], each[-1] + 1) if len(each) else slice(0, 0) for each in (rows, columns))
        part = np.ascontiguousarray(labels[y, x])
        data = struct.pack("<4I", x.start, y.start, part.shape[1], part.shape[0]) + part.tobytes()
        kept = {"cache-control": "no-store"} if frame in drawn_frames(tracks) else kept_an_hour(request)
        headers = {"content-encoding": "gzip", **kept}
        return Response(gzip.compress(data, 1), media_type="application/octet-stream", headers=headers)

    def _loop(self, request: Request) -> Response:
        """Answer the clip around a doubt: for each frame its number and length in bytes (uint32), then the JPEG."""
        first, last, crop = self._clip_around(self._doubt(request))
        width = _number(request, "width", 480, MIN_WIDTH, 1280)
        parts = [
            struct.pack("<2I", frame, len(data)) + data
            for frame, data in clip(self._board.frames, first, last, width, crop)
        ]
        return Response(b"".join(parts), media_type="application/octet-stream",
                        headers=kept_an_hour(request))  # fmt: skip

    # tracks

    def _rows(self, request: Request) -> Response:
        """Answer version and number of rows (uint32), then the rows of a range of frames; see `packed_rows`."""
        first, last = request.path_params["first"], request.path_params["last"]
        if not 0 <= first <= last < first + MAX_FRAMES or last > 2**31 - 2:
            raise InputError(f"frames {first} to {last}: request 1 to {MAX_FRAMES} frames")
        view = self._session.view
        start, end = np.searchsorted(view.tracks.frame, [first, last + 1])
        data = packed_rows(view.tracks, slice(int(start), int(end)))
        return _gzipped(struct.pack("<2I", view.version, int(end - start)) + data)

    def _lanes(self, request: Request) -> Response:
        """Answer version and number of runs (uint32), then the runs: (n, 5) int32; see `lanes`."""
        view = self._session.view
        runs = lanes(view.tracks)
        return _gzipped(struct.pack("<2I", view.version, len(runs)) + runs.astype("<i4").tobytes())

    def _candidates(self, request: Request) -> Response:
        """Answer the tracks that a lost bird may have come back as, most likely first."""
        view, track = self._session.view, request.path_params["track"]
        frame = self._board.frames.check(request.path_params["frame"])
        return JSONResponse({"version": view.version, "candidates": candidates(view.tracks, track, frame)})

    # doubts

    def _queue(self, request: Request) -> Response:
        view = self._session.view
        second = request.query_params.get("second") == "1"
        doubts = view.open_for(_who(request)) if second else view.open
        return JSONResponse({"version": view.version, "doubts": [_listed(doubt) for doubt in doubts]})

    def _card(self, request: Request) -> Response:
        doubt, view = self._doubt(request), self._session.view
        first, last, crop = self._clip_around(doubt)
        before, after = ([self._bird(view.tracks, anchor, int(row)) for anchor, row in
                          zip(anchors, rows_of(view.tracks, anchors), strict=True)]
                         for anchors in (doubt.before, doubt.after))  # fmt: skip
        given = [{"who": answer.reviewer, "sure": answer.pairs is not None, "holds": answer.holds}
                 for answer in view.answers.get(doubt.number, [])]  # fmt: skip
        return JSONResponse({
            "version": view.version, **_listed(doubt), "before": before, "after": after,
            "followed": list(doubt.followed), "loop": {"first": first, "last": last, "crop": crop}, "answers": given,
        })  # fmt: skip

    def _bird(self, tracks: Tracks, anchor: Any, row: int) -> dict[str, Any]:
        if row == NONE:
            return {"frame": anchor.frame, "track": None, "identity": None, "box": None, "colour": "#888888"}
        code = int(tracks.identity[row])
        return {"frame": anchor.frame, "track": int(tracks.track_id[row]), "box": tracks.boxes[row].tolist(),
                "identity": None if code == NONE else tracks.names[code], "colour": _colour(code)}  # fmt: skip

    def _doubt(self, request: Request) -> Doubt:
        number = request.path_params["doubt"]
        doubt = self._session.view.doubts.get(number)
        if doubt is None:
            raise InputError(f"there is no doubt {number}")
        return doubt

    def _clip_around(self, doubt: Doubt) -> tuple[int, int, Crop]:
        """Return first and last frame of a doubt's clip, and the crop that holds its birds."""
        frames, tracks = self._board.frames, self._session.automatic
        margin = round(CLIP_MARGIN_S * frames.fps)
        first, last = max(0, doubt.from_frame - margin), min(len(frames) - 1, doubt.to_frame + margin)
        rows = rows_of(tracks, doubt.anchors)
        boxes = tracks.boxes[rows[rows != NONE]]
        width, height = frames.size
        if not len(boxes):
            return first, last, (0, 0, width, height)
        (x1, y1), (x2, y2) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        high = max(y2 - y1, (x2 - x1) / CLIP_ASPECT, 64.0) * 1.5
        w, h = min(high * CLIP_ASPECT, width), min(high, height)
        x, y = np.clip((x1 + x2 - w) / 2, 0, width - w), np.clip((y1 + y2 - h) / 2, 0, height - h)
        return first, last, (int(x), int(y), int(w), int(h))

    # state and changes

    def _pulse(self, request: Request) -> Response:
        return JSONResponse({"server": self._instance, "version": self._session.view.version})

    def _state(self, request: Request) -> Response:
        return JSONResponse(self.state(request))

    def _log(self, request: Request) -> Response:
        view = self._session.view
        counting = {act.id for act in view.active_acts}
        return JSONResponse({
            "version": view.version,
            "acts": [{**act.model_dump(mode="json", exclude_none=True), "counts": act.id in counting,
                      "problem": view.problems.get(act.id, "")} for act in view.acts],
        })  # fmt: skip

    def _audit(self, request: Request) -> Response:
        view = self._session.view
        moment = audit_moment(view, _number(request, "seed", 0, 0, 999_999))
        return JSONResponse({"version": view.version, "moment": moment, "result": audit(view)})

    def _post(self, model: type, act: Callable[[Any, Request], Any]) -> Callable:
        async def endpoint(request: Request) -> Response:
            given = checked(model, await read_json(request, MAX_BODY))
            return JSONResponse(await run_in_threadpool(act, given, request))

        return endpoint

    def _with_mask(self, given: ActRequest) -> ActRequest:
        """Return a request with the mask that its strokes make."""
        if given.kind != "draw" or given.frame is None:
            return given
        frame = self._board.frames.check(given.frame)
        detected = self._board.masks.at(frame)
        return with_mask(given, self._session.view.tracks, detected, self._board.frames.size)

    def _changed(self, act: Callable[[Any, str], None]) -> Callable[[Any, Request], dict[str, Any]]:
        def acted(given: Any, request: Request) -> dict[str, Any]:
            act(given, _who(request))
            return self.state(request)

        return acted

    def state(self, request: Request) -> dict[str, Any]:
        """Return everything the page shows, except images, rows and lanes."""
        board, view = self._board, self._session.view
        tracks, frames = view.tracks, board.frames
        return {
            "server": self._instance, "of": board.work, "version": view.version, "who": _who(request),
            "app": self._app_address(request.headers.get("host")),
            "video": {"name": board.name, "run": board.run, "frames": len(frames), "fps": frames.fps,
                      "width": frames.size[0], "height": frames.size[1], "quick": board.proxy is not None},
            "birds": [{"code": code, "name": name, "track": track, "colour": _colour(code)}
                      for code, (name, track) in enumerate(zip(tracks.names, tracks.track_of_name, strict=True))],
            "zones": zone_outlines(board.zones),
            "doubts": {"all": len(view.doubts), "open": len(view.open)},
            "drawn": drawn_frames(tracks),
            "moments": [[doubt.number, doubt.kind, *doubt.range] for doubt in view.open],
            "reviewed": reviewed_share(view), "audit": audit(view), "agreement": agreement(view),
            "problems": [{"act": number, "why": why} for number, why in view.problems.items()],
            "undo": _described(view, view.undo_target), "redo": view.redo_target is not None,
            "recent": [_described(view, act) for act in view.acts[-RECENT_ACTS:]],
        }  # fmt: skip


def board_app(api: BoardApi) -> Starlette:
    """Return the app without sign-in and origin checks."""
    return Starlette(
        routes=api.routes, exception_handlers=exception_handlers(), middleware=[Middleware(SameWork, work=api.work)]
    )


def protected_board(api: BoardApi, settings: Settings, port: int) -> ASGIApp:
    """Return the app behind the gate (`backend.web.gate`)."""
    return protect(board_app(api), settings=settings, port=port, max_body=MAX_BODY)


def packed_rows(tracks: Tracks, rows: slice) -> bytes:
    """Return rows as little-endian columns, one after the other.

    int32: frame, track, identity (-1: unassigned), state, label in the frame's label map (0: no mask); float32:
    p_identity, x1, y1, x2, y2 (px of the frame).
    """
    integers = (tracks.frame, tracks.track_id, tracks.identity, tracks.state)
    floats = (tracks.p_identity, *tracks.boxes.T)
    parts = [
        *(column[rows].astype("<i4").tobytes() for column in integers),
        row_labels(tracks, rows).astype("<i4").tobytes(),
    ]
    return b"".join([*parts, *(column[rows].astype("<f4").tobytes() for column in floats)])


def lanes(tracks: Tracks) -> np.ndarray:
    """Return (n, 5) int32: track, identity (-1: unassigned), `State`, first and last frame of each run of one state."""
    order = np.lexsort((tracks.frame, tracks.track_id))
    track, frame, state = tracks.track_id[order], tracks.frame[order], tracks.state[order]
    index = np.searchsorted(tracks.frames, frame)
    new = np.ones(len(order), bool)
    new[1:] = (track[1:] != track[:-1]) | (state[1:] != state[:-1]) | (index[1:] != index[:-1] + 1)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(order)) - 1 if len(first) else first
    code = tracks.identity[order]
    return np.column_stack([track[first], code[first], state[first], frame[first], frame[last]]).astype(np.int32)


def candidates(tracks: Tracks, track: int, frame: int, most: int = 6) -> list[dict[str, Any]]:
    """Return up to ``most`` unassigned tracks that begin after ``track`` was last detected up to ``frame``.

    The cost of a candidate is its distance in lengths of the bird (root of the box area) plus the gap in s.
    """
    rows = tracks.rows_of(track)
    rows = rows[(tracks.detection[rows] != NONE) & (tracks.frame[rows] <= frame)]
    if not len(rows):
        raise InputError(f"frame {frame}: track {track} is not detected up to here")
    last = rows[-1]
    detected = tracks.detection != NONE
    ids, first = np.unique(tracks.track_id[detected], return_index=True)
    first = np.flatnonzero(detected)[first]
    later = (tracks.frame[first] > tracks.frame[last]) & (tracks.identity[first] == NONE) & (ids != track)
    first = first[later]
    centre = (tracks.boxes[first, :2] + tracks.boxes[first, 2:]) / 2
    apart = np.linalg.norm(centre - (tracks.boxes[last, :2] + tracks.boxes[last, 2:]) / 2, axis=1)
    size = float(np.sqrt(np.prod(np.maximum(1, tracks.boxes[last, 2:] - tracks.boxes[last, :2]))))
    gap_s = (tracks.frame[first] - tracks.frame[last]) / tracks.fps
    order = np.argsort(apart / size + gap_s)[:most]
    return [{"track": int(tracks.track_id[first[k]]), "frame": int(tracks.frame[first[k]]),
             "box": tracks.boxes[first[k]].tolist(), "gap_s": round(float(gap_s[k]), 2),
             "apart_px": round(float(apart[k]))} for k in order]  # fmt: skip


def _listed(doubt: Doubt) -> dict[str, Any]:
    return {"doubt": doubt.number, "kind": doubt.kind, "from": doubt.from_frame, "to": doubt.to_frame,
            "until": doubt.until_frame, "p_error": round(doubt.p_error, 4),
            "effect_s": round(doubt.effect_s, 2)}  # fmt: skip


def _described(view: View, act: Any) -> dict[str, Any] | None:
    if act is None:
        return None
    return {"id": act.id, "act": act.act, "who": act.who, "when": act.when.isoformat(), "why": act.why,
            "frame": getattr(act, "from_frame", getattr(act, "frame", None)),
            "problem": view.problems.get(act.id, "")}  # fmt: skip


def _colour(code: int) -> str:
    return "#9a9a9a" if code == NONE else as_hex(colour_of(code + 1))


def _who(request: Request) -> str:
    return name_of(request.scope["headers"])


def _gzipped(data: bytes) -> Response:
    headers = {"content-encoding": "gzip", "cache-control": "no-store"}
    return Response(gzip.compress(data, 1), media_type="application/octet-stream", headers=headers)


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 6:
        raise InputError(f"{name} {text[:40]!r} is not a whole number")
    return min(max(int(text), least), most)


def _crop(request: Request, size: tuple[int, int]) -> Crop | None:
    """Return the requested ``crop=x,y,width,height`` (px), clipped to the frame; None for the whole frame."""
    text = request.query_params.get("crop")
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() and len(part) <= 6 for part in parts):
        raise InputError(f"crop {text[:40]!r} must be x,y,width,height in px")
    x, y, width, height = map(int, parts)
    if x >= size[0] or y >= size[1] or not width or not height:
        raise InputError(f"crop {text[:40]!r} lies outside the frame of {size[0]}x{size[1]} px")
    return x, y, min(width, size[0] - x), min(height, size[1] - y)
