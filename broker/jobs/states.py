"""The job's states and the only ways between them.

scheduled ──► queued ──► running ──► completed
    │           │ ▲         │  ├───► failed
    │           │ └─────────┘  ├───► cancelled      (running → queued: retry, fallback,
    │           │              ├───► expired         interruption, lost worker)
    │           │              └───► needs_review   (sent, then silence; policy `hold`)
    │           │                                   (running → scheduled: out of a provider's batch)
    └───────────┴──► cancelled | expired | failed   needs_review ──► queued | failed | cancelled
    └───────────┴──► completed                      (coalesced: with the answer of its primary)
"""

from broker.enums import JobState

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.SCHEDULED: frozenset(
        {
            JobState.QUEUED,
            JobState.COMPLETED,
            JobState.CANCELLED,
            JobState.EXPIRED,
            JobState.FAILED,
        }
    ),
    JobState.QUEUED: frozenset(
        {
            JobState.RUNNING,
            JobState.COMPLETED,
            JobState.CANCELLED,
            JobState.EXPIRED,
            JobState.FAILED,
        }
    ),
    JobState.RUNNING: frozenset(
        {
            JobState.QUEUED,
            JobState.SCHEDULED,
            JobState.COMPLETED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.EXPIRED,
            JobState.NEEDS_REVIEW,
        }
    ),
    JobState.NEEDS_REVIEW: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

WAITING = (JobState.SCHEDULED.value, JobState.QUEUED.value)
"""States, as rows hold them, of jobs that no worker has."""

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
INACTIVE = TERMINAL | {JobState.NEEDS_REVIEW}
"""States in which nothing more happens by itself: a waiting caller is answered."""


def sources(then: JobState) -> tuple[JobState, ...]:
    """Return the states a job may be in to become `then`: the transition's guard."""
    return tuple(state for state, following in TRANSITIONS.items() if then in following)
