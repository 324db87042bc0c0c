"""The body of POST /jobs: a request for later, with what may be asked of its execution."""

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
from broker.jobs.privacy import Store
from broker.lifecycle.retries import OnUnknown
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

MOST_URGENT = 100


def _priority(value: Any) -> Lane | int:
    if isinstance(value, str) and value in set(Lane):
        return Lane(value)
    if type(value) is int and abs(value) <= MOST_URGENT:
        return value
    raise ValueError(f"must be a lane ({', '.join(Lane)}) or a whole number from -100 to 100")


Priority = Annotated[
    Lane | int,
    PlainValidator(_priority),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -MOST_URGENT, "maximum": MOST_URGENT},
                {"enum": [lane.value for lane in Lane]},
            ]
        }
    ),
]


class JobRequest(BaseModel):
    """One completion to be done. Times are Unix seconds."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Operation = Operation.CHAT
    body: dict[str, Any]
    lane: Lane | None = None  # default: interactive
    priority: Priority = 0
    """Among a workspace's waiting jobs: higher goes first. A lane's name sets the lane instead."""
    not_before: Moment | None = None
    deadline: Moment | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None  # US dollars
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    on_unknown: OnUnknown = OnUnknown.RETRY
    coalesce: bool = False  # one call with the identical jobs of the workspace
    store: Store | None = None  # of prompt and answer; the workspace's setting, if stricter
    metadata: Metadata | None = None
    webhook: JobWebhook | None = None
    callback_url: Url | None = None  # short for webhook.url


JOB_BODY = DescribedBody(
    JobRequest, {"body": CHAT_EXAMPLE, "webhook": {"url": "https://example.com/hooks"}}
)
