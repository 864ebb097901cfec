"""The table of states: every state can be reached, and what is over stays over unless somebody retries."""

import pytest

from backend.jobs.job_states import ACTIVE, TRANSITIONS, WITH_PROCESS, JobState


def test_the_table_names_every_state():
    assert set(TRANSITIONS) == set(JobState)


def test_every_state_is_reached_from_queued():
    reached, waiting = set(), [JobState.QUEUED]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting += TRANSITIONS[state]
    assert reached == set(JobState)


@pytest.mark.parametrize("state", [state for state in JobState if state.is_over])
def test_only_a_retry_leads_out_of_a_state_that_is_over(state):
    assert TRANSITIONS[state] <= {JobState.QUEUED}


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_every_active_state_can_end(state):
    assert any(after.is_over for after in TRANSITIONS[state])


def test_success_is_final_and_comes_only_from_a_process():
    assert not TRANSITIONS[JobState.SUCCEEDED]
    assert {state for state in JobState if JobState.SUCCEEDED in TRANSITIONS[state]} <= WITH_PROCESS
