import pytest

from broker.enums import JobState
from broker.jobs.states import INACTIVE, TERMINAL, TRANSITIONS, sources

S = JobState
ALLOWED = {
    S.SCHEDULED: {S.QUEUED, S.COMPLETED, S.CANCELLED, S.EXPIRED, S.FAILED},
    S.QUEUED: {S.RUNNING, S.COMPLETED, S.CANCELLED, S.EXPIRED, S.FAILED},
    S.RUNNING: set(S) - {S.RUNNING},
    S.NEEDS_REVIEW: {S.QUEUED, S.FAILED, S.CANCELLED},
}


@pytest.mark.parametrize("now", S)
@pytest.mark.parametrize("then", S)
def test_every_way_between_two_states(now, then):
    assert (then in TRANSITIONS[now]) is (then in ALLOWED.get(now, set()))


def test_final_states_are_those_without_a_way_out():
    assert {S.COMPLETED, S.FAILED, S.CANCELLED, S.EXPIRED} == TERMINAL
    assert TERMINAL | {S.NEEDS_REVIEW} == INACTIVE


def test_sources_are_the_ways_in():
    assert {then: set(sources(then)) for then in S} == {
        then: {now for now, following in TRANSITIONS.items() if then in following} for then in S
    }


def test_a_running_job_completes_and_a_waiting_one_that_shares_its_answer():
    assert sources(S.COMPLETED) == (S.SCHEDULED, S.QUEUED, S.RUNNING)


def test_every_state_leads_to_an_end():
    reached = set(TERMINAL)
    while more := {s for s in S if s not in reached and TRANSITIONS[s] & reached}:
        reached |= more
    assert reached == set(S)
