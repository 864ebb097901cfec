"""The worker: one process per GPU with decoders, the network in its main thread, and savers. Every queue is bounded."""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from backend.pipeline.chunk_plan import VideoPlan, Work
from backend.pipeline.decode import Batch, Decoders
from backend.pipeline.lifeline import end_with_parent, ignore_interrupts
from backend.pipeline.messages import Beat, Failed, Ready, Refused, Saved
from backend.pipeline.network import NO_DETECTIONS, Load, ModelChoice, Network
from backend.pipeline.save import ChunkError, Savers
from backend.project.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerOptions:
    """How one worker is run; none of it changes a result.

    ``device`` is "cpu" or a GPU's number; ``threads`` those of each decoder.
    """

    device: str
    n_decoders: int
    threads: int
    n_savers: int


class _Link:
    """The way to the supervisor, for several threads."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        with self._lock:
            self.connection.send(message)


def worker_process(connection: Connection, load: Load, choice: ModelChoice, options: WorkerOptions) -> None:
    """Load the network, say so, receive the videos' plans, work off chunks until None comes; the process's entry."""
    ignore_interrupts()
    end_with_parent()
    link = _Link(connection)
    worker: Worker | None = None
    try:
        network = load(choice, options.device)
        link.send(Ready(network.facts))
        worker = Worker(link, network, connection.recv(), options)
        worker.run()
    except InputError as error:
        link.send(Failed(worker.current, str(error)) if worker else Refused(str(error)))
    except (EOFError, ConnectionError):
        pass  # the supervisor is gone
    except ChunkError as error:
        number = error.cause.errno if isinstance(error.cause, OSError) else None
        link.send(Failed(error.work, _words(error.cause), number, error.path))
    except Exception as error:  # the supervisor decides what becomes of the chunk
        log.exception("a worker on %s fails", options.device)
        link.send(Failed(worker.current if worker else None, _words(error)))


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


class Worker:
    """The main thread of a worker.

    The network goes on to the next chunk only when the files of the one before are on the disk, so that a kill costs
    one chunk at most. Decoders run ahead into the next chunk meanwhile.
    """

    def __init__(self, link: _Link, network: Network, videos: list[VideoPlan], options: WorkerOptions):
        self._link, self._network, self._videos = link, network, videos
        device = network.facts.torch_device if any(video.decoder == "nvdec" for video in videos) else None
        self._decoders = Decoders(videos, options.n_decoders, options.threads, device)
        for memory in self._decoders.memories:
            network.pin(memory)
        threshold = network.facts.settings.mask_threshold
        self._savers = Savers(videos, options.n_savers, threshold, lambda work: link.send(Saved(work)))
        self._waiting: deque[tuple[Work, int]] = deque()
        self._ended = False

    @property
    def current(self) -> Work | None:
        """The open chunk."""
        return self._waiting[0][0] if self._waiting else None

    def run(self) -> None:
        """Work until the supervisor says that nothing is left."""
        done = 0
        while True:
            self._take_orders(block=not self._waiting)
            if not self._waiting:
                break
            work, n_batches = self._waiting[0]
            batch = self._next_batch(work)
            if batch is None:
                continue
            self._pass_on(batch)
            done += 1
            if done == n_batches:
                self._savers.wait_for(work)
                self._waiting.popleft()
                done = 0
        self._savers.close()
        self._decoders.close()

    def _take_orders(self, block: bool) -> None:
        """Receive chunks; with ``block`` wait for the first one, or for the end."""
        while not self._ended and (block or self._link.connection.poll()):
            work: Work | None = self._link.connection.recv()
            if work is None:
                self._ended = True
            else:
                n_batches = self._decoders.add(work)
                self._savers.begin(work, n_batches)
                self._waiting.append((work, n_batches))
            block = False

    def _next_batch(self, work: Work) -> Batch | None:
        """Return a batch of the open chunk; None if something else came first."""
        self._decoders.receive()
        batch = self._decoders.next_of(work)
        if batch is None:
            wait([*self._decoders.connections, self._link.connection])
            self._savers.check()
        return batch

    def _pass_on(self, batch: Batch) -> None:
        n_pictures = len(batch.decoded.frames) * len(self._videos[batch.work.video].regions)
        found = self._network.find(batch.pictures, n_pictures) if n_pictures else NO_DETECTIONS
        self._decoders.release(batch)
        self._savers.put(batch, found)
        self._link.send(Beat(len(batch.decoded.frames) + len(batch.decoded.damaged)))
