"""One job in this process's hands."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from broker.completion import Completion, CompletionRequest, Document, Failure, Timings
from broker.evidence import EndpointKey
from broker.lifecycle import ClaimedJob
from workers.attempt.events import AttemptEvents
from workers.upstream.answer_body import Stopwatch
from workers.upstream.assembly import Assembly


@dataclass(slots=True)
class JobRun:
    """A job in this process's hands."""

    job: ClaimedJob
    request: CompletionRequest
    story: AttemptEvents
    watch: Stopwatch
    plugins: Any = None  # the body's, which no provider sees
    usage_apart: bool = False  # the caller set `stream_options.include_usage`
    heard: Assembly | None = None  # a stream's answer as far as it has come
    last: Completion | Document | Failure | None = None  # what came after the caller's cancellation
    probes: set[EndpointKey] = field(default_factory=set)  # half-open circuits this call decides
    batched: ClassVar[bool] = False  # the answer comes out of the provider's own batch

    @property
    def timings(self) -> Timings:
        return Timings(self.watch.first_token_ms, self.watch.elapsed_ms())
