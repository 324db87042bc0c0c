"""Providers' and callers' data fill a worker's memory only up to a bound."""

import tracemalloc
from types import SimpleNamespace

from broker.completion import Chunk
from broker.events.stored_logs import LogPacker
from workers.attempt.events import AttemptEvents
from workers.upstream.assembly import Assembly

CHUNKS = 100_000
EACH = 60  # bytes that a chunk may leave behind, the text of the answer included


def test_chunks_that_were_sent_do_not_stay_in_memory() -> None:
    job = SimpleNamespace(
        id="job_1", attempt=1, stream=True, queued_ms=0,
        endpoint=SimpleNamespace(provider="up", model="acme/small"),
    )  # fmt: skip
    story = AttemptEvents(job, SimpleNamespace(emit=lambda *_, **__: None), LogPacker(), 0)
    head = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "acme/small"}
    answer = Assembly(lambda chunk: story.chunk({**head, "choices": list(chunk.choices)}))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(CHUNKS):
        delta = {"role": "assistant", "content": f"word{number} "}
        answer.add(Chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}]))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < CHUNKS * EACH
    [choice] = answer.completion().choices
    assert choice["message"]["content"].endswith(f"word{CHUNKS - 1} ")
    assert len(story.pack() or b"") < CHUNKS * EACH
