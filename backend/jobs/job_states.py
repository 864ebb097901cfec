"""The states of a job and the table of allowed transitions. The result of a job is kept apart from its state."""

from enum import StrEnum


class JobState(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended: no transition follows by itself."""
        return self not in ACTIVE

    @property
    def has_process(self) -> bool:
        """Whether a wrapper and a script may live."""
        return self in WITH_PROCESS


class Slot(StrEnum):
    """What a job occupies while it is active. GPU jobs take a CPU slot where there is no GPU."""

    NONE = "none"
    CPU = "cpu"
    GPU = "gpu"


_Q, _STARTING, _RUNNING, _STOPPING = JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING
_OK, _FAILED, _STOPPED, _LOST = JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.LOST

WITH_PROCESS = frozenset({_STARTING, _RUNNING, _STOPPING})
ACTIVE = WITH_PROCESS | {_Q}  # such a job holds its output folder

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _Q: frozenset({_STARTING, _FAILED, _STOPPED}),  # failed: a dependency did not succeed, or there are too few GPUs
    _STARTING: frozenset({_RUNNING, _STOPPING, _FAILED, _LOST, _Q}),
    _RUNNING: frozenset({_STOPPING, _OK, _FAILED, _STOPPED, _LOST, _Q}),  # stopped: a service that ended by itself
    _STOPPING: frozenset({_STOPPED, _OK, _FAILED, _LOST}),  # succeeded, failed: it had ended when the stop reached it
    _OK: frozenset(),
    _FAILED: frozenset({_Q}),  # from here on: retry
    _STOPPED: frozenset({_Q}),
    _LOST: frozenset({_Q}),
}
