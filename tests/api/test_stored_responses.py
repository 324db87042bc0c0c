"""A stored response has its items in the order of its stream."""

from types import SimpleNamespace

import orjson
import pytest

from api.responses import stored
from broker.dialects.accumulation import ChoiceCollector
from broker.enums import JobState
from broker.events.job_events import Event

CALL = {"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DELTAS = ({"role": "assistant"}, {"tool_calls": [CALL]}, {"content": "It is called."})
CHOICES = [
    *({"index": 0, "delta": delta, "finish_reason": None} for delta in DELTAS),
    {"index": 0, "delta": {}, "finish_reason": "stop"},
]


def make_events(*, lost=0):
    datas = [
        ("started", {"attempt": 1, "queued_ms": 0}),
        *(("chunk", {"model": "a/b", "choices": [choice]}) for choice in CHOICES),
        ("completed", {"job_id": "job_1", "status": "completed", "completed_at": 9}),
    ]
    events = [
        Event(number, type_, orjson.dumps(data)) for number, (type_, data) in enumerate(datas, 1)
    ]
    return [events[0], *events[1 + lost :]]


def make_report(*, has_log=True):
    collector = ChoiceCollector()
    for choice in CHOICES:
        collector.add([choice])
    answer = {"model": "a/b", "choices": collector.choices()}
    job = SimpleNamespace(
        id="job_1", model="a/b", created_at=8_000, ended_at=9_000, state=JobState.COMPLETED
    )
    payload = SimpleNamespace(
        caller_body=b'{"input":"hi"}', response=orjson.dumps(answer), has_log=has_log
    )
    return SimpleNamespace(job=job, payload=payload, attempts=[SimpleNamespace(number=1)])


@pytest.mark.parametrize(
    ("has_log", "lost", "types"),
    [
        (True, 0, ["function_call", "message"]),
        (True, 2, ["message", "function_call"]),  # the log lacks the call
        (False, 0, ["message", "function_call"]),
    ],
)
async def test_a_call_before_a_text_stays_before_it(monkeypatch, has_log, lost, types):
    async def read_log(*_):
        yield make_events(lost=lost)

    monkeypatch.setattr(stored, "_read_log", read_log)
    response = await stored.read_response(SimpleNamespace(), make_report(has_log=has_log))
    assert [item["type"] for item in response["output"]] == types
    assert response["completed_at"] == 9
