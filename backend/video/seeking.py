"""Frame-exact seeking: where decoding begins, which frames are free of damage, and what follows a failed seek.

A damaged picture spoils what was coded after it, and some of that is shown before it: with B-frames, frame 69 may build
on frame 71. So a frame is handed over only when everything coded before it has come out of the decoder whole; the index
knows how far that reaches (`PacketIndex.needs`). A decoder that met damage is not used beyond it: it is opened again.
A hasty decoder (`PacketDecoder.hasty`) does not say for certain where damage lies: when it complains, the stretch from
that key frame to the next is decoded again without haste.
"""

from pathlib import Path

from backend.video.frame_errors import DamagedFrameError
from backend.video.index import PacketIndex
from backend.video.packet_decoder import Decoded, DecodingError, PacketDecoder

WORTH_A_SEEK = 16  # frames that seeking must save: it empties the decoder, which then has to fill again
MAX_SUSPICIONS = 4  # of a hasty decoder about one file, after which it is not hasty again


class _SuspectedDamage(Exception):
    """A hasty decoder met what may be damage."""


class FrameFinder:
    """Random access to frames by number, for a decoder that only goes forward from key frames.

    "Order" is the position of a frame's packet in the file, that is, the order of decoding.
    """

    def __init__(self, path: Path, index: PacketIndex, decoder: PacketDecoder):
        self._path = path
        self._index = index
        self._decoder = decoder
        self._held: dict[int, Decoded] = {}  # number: frame, decoded and not yet passed by; a few
        self._last: int | None = None  # the highest number decoded since the last seek
        self._spoiled: int | None = None  # order from which on nothing can be trusted
        self._start_key: int | None = None  # number of the key frame that was sought for what is decoded now
        self._reason = ""
        self._reopen = False  # whether the decoder must not be used again as it is
        self._single_thread_key: int | None = None  # the key frame from which on the decoder is not hasty
        self._suspicions = 0

    def fetch(self, frame: int) -> Decoded:
        """Return frame number ``frame`` (inside the video). Raises DamagedFrameError if it cannot be had right."""
        key = self._index.key_number(frame)
        if self._single_thread_key not in (None, key) and self._suspicions < MAX_SUSPICIONS:
            self._restart(hasty=True)
        try:
            self._find(frame)
        except _SuspectedDamage:
            self._single_thread_key = key
            self._suspicions += 1
            self._restart(hasty=False)
            self._find(frame)
        if frame not in self._held:
            raise DamagedFrameError(self._path, frame, self._reason or "the decoder leaves it out")
        self._held = {number: decoded for number, decoded in self._held.items() if number >= frame}
        return self._held[frame]

    def _restart(self, hasty: bool) -> None:
        """Forget what was decoded; the next frame is found by a new decoder."""
        self._decoder.hasty = hasty
        self._single_thread_key = None if hasty else self._single_thread_key
        self._held, self._last, self._spoiled, self._reopen = {}, None, None, True

    def _find(self, frame: int) -> None:
        """Decode up to ``frame``; where that can be had right, it is held then."""
        if self._lies_ahead(frame):
            self._advance(frame)
        if frame not in self._held and not self._blocked(frame):
            self._seek_before(frame)
            self._advance(frame)

    def _blocked(self, frame: int) -> bool:
        """Whether known damage lies between the key frame that ``frame`` builds on and ``frame`` itself.

        Only what was decoded from that very key frame on decides. Damage met on the way from an earlier one may lie in
        frames that are shown before the key frame, and what can be read must not depend on what was read before.
        """
        if self._spoiled is None or self._start_key != self._index.key_number(frame):
            return False
        return self._index.key_order(frame) <= self._spoiled <= self._index.order[frame]

    def _lies_ahead(self, frame: int) -> bool:
        """Whether ``frame`` is held, or going forward is the shortest way to it."""
        if frame in self._held:
            return True
        if self._last is None or self._last >= frame:
            return False
        if self._spoiled is not None and self._index.order[frame] >= self._spoiled:
            return False
        return self._index.key_number(frame) - self._last <= WORTH_A_SEEK

    def _seek_before(self, frame: int) -> None:
        """Seek so that the first frame that comes out is not beyond ``frame``."""
        self._start_key = self._index.key_number(frame)
        for start in self._index.starts_for(frame):
            self._held, self._last, self._reason = {}, None, ""
            try:
                self._decoder.seek(start, reopen=self._reopen or self._spoiled is not None)
            except DecodingError as error:
                self._reason = str(error)
                continue
            self._spoiled, self._reopen = None, False
            self._next_frame()
            if self._last is not None and self._last <= frame:
                return

    def _advance(self, frame: int) -> None:
        """Decode until ``frame`` and all that it may build on have come out."""
        goal = self._index.needs[frame]
        while self._last is not None and self._last < goal and not self._blocked(frame):
            if not self._next_frame():
                if self._decoder.hasty:
                    raise _SuspectedDamage  # several threads may drop sound frames together with a damaged one
                self._reason = self._reason or "the file ends before it"
                return

    def _next_frame(self) -> bool:
        """Take one frame from the decoder; False at the end."""
        while True:
            try:
                decoded = self._decoder.next()
            except DecodingError as error:
                self._spoil(self._order_at(error.pts) - error.lag, str(error))
                continue
            if decoded is None:
                return False
            number = self._index.frame_of(decoded.pts)
            landed = self._decoder.landed
            if number is None or (landed is not None and decoded.pts < landed):
                continue  # hidden by an edit list, or without the frames it builds on
            if self._last is not None:
                if number <= self._last:
                    continue  # a second frame of the same time
                if number > self._last + 1:
                    self._spoil(int(self._index.order[self._last + 1 : number].min()), "the decoder leaves frames out")
            if decoded.corrupt:
                self._spoil(int(self._index.order[number]), "the decoder finds errors in it or in what it builds on")
            self._last = number
            if self._spoiled is None or self._index.order[number] < self._spoiled:
                self._held[number] = decoded
            return True

    def _order_at(self, pts: int | None) -> int:
        number = None if pts is None else self._index.frame_of(pts)
        if number is not None:
            return int(self._index.order[number])
        return int(self._index.order[self._last]) if self._last is not None else 0

    def _spoil(self, order: int, reason: str) -> None:
        if self._decoder.hasty:
            raise _SuspectedDamage
        if self._spoiled is None or order < self._spoiled:
            self._spoiled, self._reason = order, reason
            whole = (number for number in self._held if self._index.order[number] < order)
            self._held = {number: self._held[number] for number in whole}
