"""The body of POST /jobs: a request, and options for its execution."""

from typing import Annotated, Any, TypeAlias

from fastapi import Path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from api.core.bodies import DescribedBody
from api.webhooks.schemas import JobWebhook, Moment, Url
from broker.completion import Json
from broker.enums import JobState, OnUnknown, Store
from broker.queues import Lane
from broker.requests.operations import Operation

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16),
]


CHAT_EXAMPLE: Json = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Say hello in one sentence."}],
}

JobId: TypeAlias = Annotated[str, Path(description="The id of the job (`job_…`).")]

MAX_PRIORITY = 100


def _read_priority(value: Any) -> Lane | int:
    if isinstance(value, str) and value in set(Lane):
        return Lane(value)
    if type(value) is int and abs(value) <= MAX_PRIORITY:
        return value
    raise ValueError(f"must be a lane ({', '.join(Lane)}) or a whole number from -100 to 100")


Priority = Annotated[
    Lane | int,
    PlainValidator(_read_priority),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY},
                {"enum": [lane.value for lane in Lane]},
            ]
        }
    ),
]


class JobRequest(BaseModel):
    """A job to run. Times are Unix seconds."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Operation = Field(Operation.CHAT, description="The operation to run.")
    body: dict[str, Any] = Field(description="The body of the operation.")
    lane: Lane | None = Field(None, description="The queue lane; `interactive` without it.")
    priority: Priority = Field(
        0, description="Jobs of a workspace with a higher priority start first; or a lane."
    )
    not_before: Moment | None = Field(None, description="The time from which the job may start.")
    deadline: Moment | None = Field(
        None, description="The time at which the job expires if it has no answer."
    )
    max_cost: float | None = Field(
        None, gt=0, description="The most that the job may cost, in US dollars."
    )
    max_attempts: int | None = Field(
        None, ge=1, le=100, description="The most attempts that the job may have."
    )
    on_unknown: OnUnknown = Field(
        OnUnknown.RETRY,
        description="What happens when a provider does not answer and may have charged the call.",
    )
    coalesce: bool = Field(
        default=False, description="Whether identical concurrent jobs share one call."
    )
    store: Store | None = Field(
        None, description="What is stored of prompt and answer, if the workspace allows so much."
    )
    metadata: Metadata | None = Field(None, description="Your own names and values.")
    webhook: JobWebhook | None = Field(
        None, description="The webhook that is sent when the job ends."
    )
    callback_url: Url | None = Field(None, description="Short for `webhook.url`.")


JOB_BODY = DescribedBody(
    JobRequest, {"body": CHAT_EXAMPLE, "webhook": {"url": "https://example.com/hooks"}}
)


class JobFilters(BaseModel):
    """The filters of a list of jobs. Each is a parameter of the query."""

    status: JobState | None = Field(None, description="The state.")
    model: str | None = Field(None, description="The slug of the requested model.")
    provider: str | None = Field(None, description="The provider of the current or last plan step.")
    api_key_id: str | None = Field(
        None, description="The id of the API key that submitted the job."
    )
    app: str | None = Field(
        None, description="The app: its `X-Title`, or the host of its `HTTP-Referer`."
    )
    user: str | None = Field(None, description="The `user` of the body.")
    session_id: str | None = Field(None, description="The session.")
    trace_id: str | None = Field(None, description="The trace.")
