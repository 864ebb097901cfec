"""Saving in parallel with the network: threads turn detections into rows and write the files of full chunks."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backend.pipeline.chunk_plan import VideoPlan, Work
from backend.pipeline.chunk_tables import AnalysedFrames, Instances, write_chunk
from backend.pipeline.decode import Batch
from backend.pipeline.network import NetworkDetections
from backend.pipeline.rows import join_batches, rows_of_batch

AHEAD = 4  # batches that may wait for a thread


class ChunkError(Exception):
    """A chunk could not be saved. ``cause`` says why; ``path`` is the file or folder it was about."""

    def __init__(self, work: Work, cause: Exception, path: str):
        super().__init__(str(cause))
        self.work, self.cause, self.path = work, cause, path


@dataclass
class _OpenChunk:
    n_batches: int
    parts: dict[int, tuple[AnalysedFrames, Instances]] = field(default_factory=dict)


class Savers:
    """Threads that save for one worker. The heavy parts, RLE and compression, release the GIL.

    Parameters
    ----------
    videos
        The plans that `Work.video` points into.
    n_threads
        How many.
    threshold
        Probability from which a pixel belongs to a mask.
    saved
        Called with the chunk, in one of the threads, once its files are on the disk.
    """

    def __init__(self, videos: Sequence[VideoPlan], n_threads: int, threshold: float, saved: Callable[[Work], None]):
        self._videos, self._threshold, self._saved = videos, threshold, saved
        self._queue: queue.Queue[tuple[Batch, NetworkDetections] | None] = queue.Queue(AHEAD)
        self._lock = threading.Condition()
        self._open: dict[Work, _OpenChunk] = {}
        self._error: ChunkError | None = None
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(n_threads)]
        for thread in self._threads:
            thread.start()

    def begin(self, work: Work, n_batches: int) -> None:
        """Expect ``n_batches`` of a chunk."""
        with self._lock:
            self._open[work] = _OpenChunk(n_batches)

    def put(self, batch: Batch, detections: NetworkDetections) -> None:
        """Hand over what was found in a batch, whose pictures are not read; waits while too many are waiting."""
        self._queue.put((batch, detections))
        self.check()

    def wait_for(self, work: Work) -> None:
        """Wait until the files of a chunk are on the disk.

        Raises
        ------
        ChunkError
            If they cannot be written.
        """
        with self._lock:
            self._lock.wait_for(lambda: work not in self._open or self._error is not None)
        self.check()

    def check(self) -> None:
        """Raise the ChunkError that a thread met, if one did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Let the threads end after what waits."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None:
            batch, detections = waiting
            if self._error is not None:
                continue  # so that nobody waits for room in the queue
            video = self._videos[batch.work.video]
            try:
                self._add(batch, rows_of_batch(detections, batch.decoded, video, self._threshold), video)
            except Exception as error:  # whatever it is, the main thread has to hear of it
                path = getattr(error, "filename", None) or str(video.folder)
                with self._lock:
                    self._error = ChunkError(batch.work, error, path)
                    self._lock.notify_all()

    def _add(self, batch: Batch, rows: tuple[AnalysedFrames, Instances], video: VideoPlan) -> None:
        with self._lock:
            chunk = self._open[batch.work]
            chunk.parts[batch.number] = rows
            if len(chunk.parts) < chunk.n_batches:
                return
        seen, detections = join_batches([chunk.parts[number] for number in range(chunk.n_batches)])
        write_chunk(video.folder, batch.work.chunk, seen, detections)
        self._saved(batch.work)
        with self._lock:
            del self._open[batch.work]
            self._lock.notify_all()
