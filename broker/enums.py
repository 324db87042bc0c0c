"""The enumerations whose values are stored in columns of the database, each as its text."""

from enum import StrEnum
from typing import Literal, TypeAlias


class JobState(StrEnum):
    """The states of a job. `broker.jobs.states` holds the transitions between them."""

    SCHEDULED = "scheduled"  # waits for its not_before, or for a place among its key's open jobs
    QUEUED = "queued"  # may be claimed once available_at has come
    RUNNING = "running"  # an attempt is open, under a lease
    COMPLETED = "completed"  # its answer is stored, its cost is settled
    FAILED = "failed"  # no endpoint answered it; its hold is released
    CANCELLED = "cancelled"  # its hold is released, or settled for a sent part of a stream
    EXPIRED = "expired"  # its deadline passed; its hold is released
    NEEDS_REVIEW = "needs_review"  # perhaps billed by the provider; the caller decides


class Dialect(StrEnum):
    """The dialects of calls that are translated to chat completions. None: no translation."""

    RESPONSES = "responses"  # OpenAI's POST /responses
    MESSAGES = "messages"  # Anthropic's POST /messages


DialectPath: TypeAlias = Literal["/v1/responses", "/v1/messages"]
"""The path of a chat in another dialect."""


class OnUnknown(StrEnum):
    """A job's policy for an attempt that was sent, got no answer and is perhaps billed."""

    RETRY = "retry"
    FAIL = "fail"
    HOLD = "hold"  # the job needs review


class Store(StrEnum):
    """The storage policies for ended jobs, from most to least."""

    FULL = "full"
    RESULT_ONLY = "result_only"  # the answer, not the prompt
    NONE = "none"  # the answer until it was fetched or delivered; a day at most


class Kept(StrEnum):
    """The parts of a terminal job's bodies that are still stored. None in the column: all."""

    RESULT = "result"  # without the prompt
    NOTHING = "nothing"  # neither prompt nor answer


class BatchState(StrEnum):
    """The states of a batch, by OpenAI's names."""

    VALIDATING = "validating"  # accepted; no line is a job yet
    IN_PROGRESS = "in_progress"  # lines are jobs or become jobs
    FINALIZING = "finalizing"  # every line has ended; the result files are written
    COMPLETED = "completed"
    FAILED = "failed"  # the input is invalid: no line was run
    EXPIRED = "expired"  # the completion window ended first
    CANCELLING = "cancelling"  # no more lines start; running ones may end
    CANCELLED = "cancelled"  # by its owner or by a limit: see stop_reason


class StopReason(StrEnum):
    """The reasons why a batch ends before all its lines are done."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    MAX_COST = "max_cost"
    CREDITS = "insufficient_credits"
    ON_ERROR = "on_error"
    INPUT_LOST = "input_file_not_found"


class EvaluationState(StrEnum):
    """The states of an evaluation. `broker.evaluations.transitions` holds the changes."""

    PREPARING = "preparing"  # accepted; its batch of answers is not written yet
    ANSWERING = "answering"  # the cells are lines of a batch
    JUDGING = "judging"  # the calls of graders are lines of a second batch
    GRADING = "grading"  # grades are computed, a few prompts at a time
    COMPLETED = "completed"
    CANCELLED = "cancelled"  # by its owner or by a limit: see stop_reason
    EXPIRED = "expired"  # the completion window ended first
    FAILED = "failed"  # what it needs is gone


class NativeBatchState(StrEnum):
    """The states of a native batch: see `broker.native_batches`."""

    SUBMITTING = "submitting"
    CREATING = "creating"
    RUNNING = "running"
    IN_DOUBT = "in_doubt"
    ENDED = "ended"


class EntryKind(StrEnum):
    """The kinds of ledger entries: five of a job, then four of a workspace."""

    HOLD = "hold"
    EXTEND = "extend"
    SETTLE = "settle"
    RELEASE = "release"
    REFUND = "refund"
    TOPUP = "topup"
    FEE = "fee"
    GRANT = "grant"
    WITHDRAWAL = "withdrawal"


class BudgetScope(StrEnum):
    """The kinds of subjects that a budget limits."""

    WORKSPACE = "workspace"
    MEMBER = "member"  # all keys of a user in one workspace
    KEY = "key"


class Reset(StrEnum):
    """The period after which a limit is reset."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    LIFETIME = "lifetime"  # never


class Role(StrEnum):
    """The role of a member in a workspace; each role includes the ones below it."""

    OWNER = "owner"  # names owners, deletes the workspace
    ADMIN = "admin"  # changes keys, members, limits and settings
    MEMBER = "member"  # gives apps a key
    VIEWER = "viewer"  # reads

    def reaches(self, least: "Role") -> bool:
        """Return whether this role includes the role `least`."""
        from_highest = list(Role)
        return from_highest.index(self) <= from_highest.index(least)


class CallerKind(StrEnum):
    """The kind of credential that a caller presents."""

    INFERENCE = "inference"  # a key that runs completions
    MANAGEMENT = "management"  # a key that administers
    SESSION = "session"  # a signed-in browser


class LimitReset(StrEnum):
    """The periods of a key's spending limit: they begin at midnight UTC, weeks on Mondays."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class TokenPurpose(StrEnum):
    """The purposes of tokens that are used once."""

    FIRST_USER = "first_user"  # to create the first user
    PASSWORD = "password"  # noqa: S105  # to choose a password
    APP = "app"  # an app's code, which it exchanges for a key (PKCE, RFC 7636)


class FilePurpose(StrEnum):
    """The purpose of a file: OpenAI's names, and one for the media of answers."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"
    USER_DATA = "user_data"
    VISION = "vision"
    ASSISTANTS = "assistants"
    FINE_TUNE = "fine-tune"
    EVALS = "evals"
    JOB_OUTPUT = "job_output"


class PayloadKind(StrEnum):
    """The kinds of payloads of webhooks."""

    THIN = "thin"  # ids and status
    FULL = "full"  # the object as its GET request returns it


class Scheme(StrEnum):
    """The schemes of a webhook's headers and envelope."""

    STANDARD = "standard"  # Standard Webhooks 1.0.0
    OPENROUTER = "openrouter"  # the headers and envelope of OpenRouter's job webhooks


class SignatureKind(StrEnum):
    """The kinds of signatures of webhooks."""

    V1 = "v1"  # HMAC-SHA256, one secret on both sides
    V1A = "v1a"  # Ed25519; the receiver has only the public key


class DeliveryState(StrEnum):
    """The states of a delivery."""

    PENDING = "pending"  # waits for its next attempt
    RUNNING = "running"  # an attempt is open, under a lease
    DELIVERED = "delivered"  # the receiver answered 2xx
    EXHAUSTED = "exhausted"  # every attempt failed
    CANCELLED = "cancelled"  # its endpoint was disabled or deleted
