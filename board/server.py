"""The board's page, and a small interface for it.

Every change is a POST with the version it was made on (409 if that is not the present one) and a key (sent twice, it is
done once). Its answer comes when the act is on the disk, and is the whole state, as from ``GET api/state``.
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
from board.clips import loop
from board.load_board import Board, zone_outlines
from board.mask_brush import drawn_frames, label_map, row_labels, with_mask
from board.requests import ActRequest, Turn, checked
from board.session import View, agreement, audit, audit_moment, reviewed_share

STATIC = Path(__file__).with_name("static")
MAX_BODY = 2 * 1024**2  # a drawn mask takes at most half of that
MAX_FRAMES = 2000  # of one answer with rows
LEAST_WIDTH, MOST_WIDTH = 32, 8192
AROUND_S = 1.5  # before and after a doubt, in its loop
LOOP_SHAPE = 1.5  # width to height
SHOWN_ACTS = 30


class BoardApi:
    """The routes of one open board."""

    def __init__(self, board: Board, back: str = ""):
        self._board, self._session, self._back, self.work = board, board.session, back, board.work
        self._instance = secrets.token_hex(8)

    @property
    def routes(self) -> list[BaseRoute]:
        """Every route of the server."""
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
            Route("/api/preview", self._post(ActRequest, lambda given, who: self._session.preview(self._drawn(given))),
                  methods=["POST"]),
            Route("/api/act", self._post(ActRequest, self._changed(
                lambda given, who: self._session.act(self._drawn(given), who))), methods=["POST"]),
            Route("/api/turn", self._post(Turn, self._changed(self._session.turn)), methods=["POST"]),
        ]  # fmt: skip

    # pictures

    def _frame(self, request: Request) -> Response:
        """Answer the exact frame or a part of it, or a small one with ``quick=1`` where the video has a proxy."""
        pictures, quick = self._board.pictures, request.query_params.get("quick") == "1"
        frame = pictures.check(request.path_params["frame"])
        width = _number(request, "width", WIDTH if quick else pictures.size[0], LEAST_WIDTH, MOST_WIDTH)
        crop = _crop(request, pictures.size)
        source = self._board.quick if quick and crop is None and self._board.quick is not None else pictures
        data = source.jpeg(frame, width, crop)
        return Response(data, media_type="image/jpeg", headers=kept_an_hour(request))

    def _others(self, request: Request) -> Response:
        return JSONResponse({"videos": self._board.others.listed()})

    def _other_frame(self, request: Request) -> Response:
        """Answer a frame of another video of the project, as for the board's own."""
        wanted, quick = request.path_params, request.query_params.get("quick") == "1"
        width = _number(request, "width", WIDTH if quick else MOST_WIDTH, LEAST_WIDTH, MOST_WIDTH)
        data = self._board.others.jpeg(wanted["video"], wanted["frame"], width, quick)
        return Response(data, media_type="image/jpeg", headers=kept_an_hour(request))

    def _mask(self, request: Request) -> Response:
        """Answer x, y, width, height (uint32) of what is masked, then labels as rows name them (`row_labels`)."""
        pictures, tracks = self._board.pictures, self._session.view.tracks
        frame = pictures.check(request.path_params["frame"])
        labels = label_map(tracks, frame, self._board.masks.at(frame), pictures.size)
        rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
        y, x = (slice(each[0], each[-1] + 1) if len(each) else slice(0, 0) for each in (rows, columns))
        part = np.ascontiguousarray(labels[y, x])
        data = struct.pack("<4I", x.start, y.start, part.shape[1], part.shape[0]) + part.tobytes()
        kept = {"cache-control": "no-store"} if frame in drawn_frames(tracks) else kept_an_hour(request)
        headers = {"content-encoding": "gzip", **kept}
        return Response(gzip.compress(data, 1), media_type="application/octet-stream", headers=headers)

    def _loop(self, request: Request) -> Response:
        """Answer the loop of a doubt: for each picture its frame and length (uint32), then the JPEG."""
        doubt = self._doubt(request)
        first, last, crop = self._around(doubt)
        width = _number(request, "width", 480, LEAST_WIDTH, 1280)
        parts = [
            struct.pack("<2I", frame, len(data)) + data
            for frame, data in loop(self._board.pictures, first, last, width, crop)
        ]
        return Response(b"".join(parts), media_type="application/octet-stream",
                        headers=kept_an_hour(request))  # fmt: skip

    # tracks

    def _rows(self, request: Request) -> Response:
        """Answer the rows of some frames as columns of 4 bytes each; see `packed_rows`."""
        first, last = request.path_params["first"], request.path_params["last"]
        if not 0 <= first <= last < first + MAX_FRAMES or last > 2**31 - 2:
            raise InputError(f"frames {first} to {last}: ask for 1 to {MAX_FRAMES} frames")
        view = self._session.view
        start, end = np.searchsorted(view.tracks.frame, [first, last + 1])
        data = packed_rows(view.tracks, slice(int(start), int(end)))
        return _gzipped(struct.pack("<2I", view.version, int(end - start)) + data)

    def _lanes(self, request: Request) -> Response:
        """Answer stretches of tracks: (n, 5) int32; see `lanes`."""
        view = self._session.view
        stretches = lanes(view.tracks)
        return _gzipped(struct.pack("<2I", view.version, len(stretches)) + stretches.astype("<i4").tobytes())

    def _candidates(self, request: Request) -> Response:
        """Answer the tracks that a lost bird may have come back as, most likely first."""
        view, wanted = self._session.view, request.path_params
        found = candidates(view.tracks, wanted["track"], self._board.pictures.check(wanted["frame"]))
        return JSONResponse({"version": view.version, "candidates": found})

    # doubts

    def _queue(self, request: Request) -> Response:
        view = self._session.view
        second = request.query_params.get("second") == "1"
        doubts = view.open_for(_who(request)) if second else view.open
        return JSONResponse({"version": view.version, "doubts": [_listed(doubt) for doubt in doubts]})

    def _card(self, request: Request) -> Response:
        doubt, view = self._doubt(request), self._session.view
        first, last, crop = self._around(doubt)
        before, after = ([self._bird(view.tracks, anchor, int(row)) for anchor, row in
                          zip(anchors, rows_of(view.tracks, anchors), strict=True)]
                         for anchors in (doubt.before, doubt.after))  # fmt: skip
        given = [{"who": each.who, "sure": each.pairs is not None, "holds": each.holds}
                 for each in view.answers.get(doubt.number, [])]  # fmt: skip
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

    def _around(self, doubt: Doubt) -> tuple[int, int, Crop]:
        """Return first and last frame of a doubt's loop, and the part of the picture that its birds cross."""
        pictures, tracks = self._board.pictures, self._session.automatic
        margin = round(AROUND_S * pictures.fps)
        first, last = max(0, doubt.from_frame - margin), min(len(pictures) - 1, doubt.to_frame + margin)
        rows = rows_of(tracks, doubt.anchors)
        boxes = tracks.boxes[rows[rows != NONE]]
        width, height = pictures.size
        if not len(boxes):
            return first, last, (0, 0, width, height)
        (x1, y1), (x2, y2) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        high = max(y2 - y1, (x2 - x1) / LOOP_SHAPE, 64.0) * 1.5
        w, h = min(high * LOOP_SHAPE, width), min(high, height)
        x, y = np.clip((x1 + x2 - w) / 2, 0, width - w), np.clip((y1 + y2 - h) / 2, 0, height - h)
        return first, last, (int(x), int(y), int(w), int(h))

    # state and changes

    def _pulse(self, request: Request) -> Response:
        return JSONResponse({"server": self._instance, "version": self._session.view.version})

    def _state(self, request: Request) -> Response:
        return JSONResponse(self.state(_who(request)))

    def _log(self, request: Request) -> Response:
        view = self._session.view
        counting = {act.id for act in view.counting}
        return JSONResponse({
            "version": view.version,
            "acts": [{**act.model_dump(mode="json", exclude_none=True), "counts": act.id in counting,
                      "problem": view.problems.get(act.id, "")} for act in view.acts],
        })  # fmt: skip

    def _audit(self, request: Request) -> Response:
        view = self._session.view
        moment = audit_moment(view, _number(request, "seed", 0, 0, 999_999))
        return JSONResponse({"version": view.version, "moment": moment, "result": audit(view)})

    def _post(self, model: type, act: Callable[[Any, str], Any]) -> Callable:
        async def endpoint(request: Request) -> Response:
            given = checked(model, await read_json(request, MAX_BODY))
            return JSONResponse(await run_in_threadpool(act, given, _who(request)))

        return endpoint

    def _drawn(self, given: ActRequest) -> ActRequest:
        """Return a request with the mask that its strokes make."""
        if given.kind != "draw" or given.frame is None:
            return given
        frame = self._board.pictures.check(given.frame)
        detected = self._board.masks.at(frame)
        return with_mask(given, self._session.view.tracks, detected, self._board.pictures.size)

    def _changed(self, act: Callable[[Any, str], None]) -> Callable[[Any, str], dict[str, Any]]:
        def acted(given: Any, who: str) -> dict[str, Any]:
            act(given, who)
            return self.state(who)

        return acted

    def state(self, who: str) -> dict[str, Any]:
        """Return all that the page shows, but pictures, rows and lanes."""
        board, view = self._board, self._session.view
        tracks, pictures = view.tracks, board.pictures
        return {
            "server": self._instance, "of": board.work, "version": view.version, "who": who, "back": self._back,
            "video": {"name": board.name, "run": board.run, "frames": len(pictures), "fps": pictures.fps,
                      "width": pictures.size[0], "height": pictures.size[1], "quick": board.quick is not None},
            "birds": [{"code": code, "name": name, "track": track, "colour": _colour(code)}
                      for code, (name, track) in enumerate(zip(tracks.names, tracks.track_of_name, strict=True))],
            "zones": zone_outlines(board.zones),
            "doubts": {"all": len(view.doubts), "open": len(view.open)},
            "drawn": drawn_frames(tracks),
            "moments": [[doubt.number, doubt.kind, *doubt.range] for doubt in view.open],
            "reviewed": reviewed_share(view), "audit": audit(view), "agreement": agreement(view),
            "problems": [{"act": number, "why": why} for number, why in view.problems.items()],
            "undo": _described(view, view.undo_target), "redo": view.redo_target is not None,
            "recent": [_described(view, act) for act in view.acts[-SHOWN_ACTS:]],
        }  # fmt: skip


def board_app(api: BoardApi) -> Starlette:
    """Return the server without its gate."""
    return Starlette(
        routes=api.routes, exception_handlers=exception_handlers(), middleware=[Middleware(SameWork, work=api.work)]
    )


def protected_board(api: BoardApi, settings: Settings, port: int) -> ASGIApp:
    """Return the server behind the gate."""
    return protect(board_app(api), settings=settings, port=port, max_body=MAX_BODY)


def packed_rows(tracks: Tracks, rows: slice) -> bytes:
    """Return rows as little-endian columns one after the other.

    int32: frame, track, identity (-1: none), state, label in the picture of masks (0: none); float32: p_identity, x1,
    y1, x2, y2.
    """
    whole = (tracks.frame, tracks.track_id, tracks.identity, tracks.state)
    floats = (tracks.p_identity, *tracks.boxes.T)
    parts = [
        *(column[rows].astype("<i4").tobytes() for column in whole),
        row_labels(tracks, rows).astype("<i4").tobytes(),
    ]
    return b"".join([*parts, *(column[rows].astype("<f4").tobytes() for column in floats)])


def lanes(tracks: Tracks) -> np.ndarray:
    """Return (n, 5) int32: track, identity (-1: none), `State`, first and last frame of each stretch of one state."""
    order = np.lexsort((tracks.frame, tracks.track_id))
    track, frame, state = tracks.track_id[order], tracks.frame[order], tracks.state[order]
    place = np.searchsorted(tracks.frames, frame)
    new = np.ones(len(order), bool)
    new[1:] = (track[1:] != track[:-1]) | (state[1:] != state[:-1]) | (place[1:] != place[:-1] + 1)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(order)) - 1 if len(first) else first
    code = tracks.identity[order]
    return np.column_stack([track[first], code[first], state[first], frame[first], frame[last]]).astype(np.int32)


def candidates(tracks: Tracks, track: int, frame: int, most: int = 6) -> list[dict[str, Any]]:
    """Return tracks that first appear after ``track`` was last seen before or at ``frame``, nearest in px and time."""
    rows = tracks.rows_of(track)
    rows = rows[(tracks.detection[rows] != NONE) & (tracks.frame[rows] <= frame)]
    if not len(rows):
        raise InputError(f"frame {frame}: track {track} is not seen up to here")
    gone = rows[-1]
    there = tracks.detection != NONE
    ids, first = np.unique(tracks.track_id[there], return_index=True)
    first = np.flatnonzero(there)[first]
    later = (tracks.frame[first] > tracks.frame[gone]) & (tracks.identity[first] == NONE) & (ids != track)
    first = first[later]
    centre = (tracks.boxes[first, :2] + tracks.boxes[first, 2:]) / 2
    apart = np.linalg.norm(centre - (tracks.boxes[gone, :2] + tracks.boxes[gone, 2:]) / 2, axis=1)
    size = float(np.sqrt(np.prod(np.maximum(1, tracks.boxes[gone, 2:] - tracks.boxes[gone, :2]))))
    gap_s = (tracks.frame[first] - tracks.frame[gone]) / tracks.fps
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
    """Return the part of the picture that is asked for as ``crop=x,y,width,height``, within the picture."""
    text = request.query_params.get("crop")
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() and len(part) <= 6 for part in parts):
        raise InputError(f"crop {text[:40]!r} must be x,y,width,height in px")
    x, y, width, height = map(int, parts)
    if x >= size[0] or y >= size[1] or not width or not height:
        raise InputError(f"crop {text[:40]!r} lies outside of the {size[0]}x{size[1]} picture")
    return x, y, min(width, size[0] - x), min(height, size[1] - y)
