"""Background jobs: states, store, scheduling pass, launcher, wrapper process, GPU slots, progress."""

from backend.jobs.job import Job, JobSpec
from backend.jobs.job_states import ACTIVE, TRANSITIONS, JobState, Slot
from backend.jobs.progress import Progress, ProgressRecord
from backend.jobs.schedule import scheduling_pass, start_scheduler
from backend.jobs.store import JobStore

__all__ = [
    "ACTIVE",
    "TRANSITIONS",
    "Job",
    "JobSpec",
    "JobState",
    "JobStore",
    "Progress",
    "ProgressRecord",
    "Slot",
    "scheduling_pass",
    "start_scheduler",
]
