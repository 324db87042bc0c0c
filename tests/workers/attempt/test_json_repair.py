"""JSON that a model nearly wrote."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import AttemptOutcome, Completion, Failure
from broker.enums import OnUnknown
from broker.lifecycle.retries import Retry, Situation, decide
from broker.routing import Plan, PlanStep
from tests.factories import make_endpoint
from tests.installation import REPOSITORY, until
from workers.attempt.json_repair import JsonRepair, read_requested_repair, repair_answer
from workers.sandbox.json_text import repair
from workers.sandbox.pool import ProcessLimits, Sandbox, SandboxError

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


def answering(text, **more):
    message = {"role": "assistant", "content": text}
    return Completion([{"index": 0, "message": message, "finish_reason": "stop"} | more])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


async def answer_to(sandbox, answer, wanted):
    """The answer to a call whose plugin is to do this."""
    form = {"type": "json_schema", "json_schema": {"schema": wanted.schema}}
    plugin = {"id": "response-healing", "retry": wanted.must_fit}
    run = SimpleNamespace(
        plugins=[plugin],
        request=SimpleNamespace(body={"response_format": form}),
        job=SimpleNamespace(stream=False, workspace_id="ws_1"),
    )
    return await repair_answer(sandbox, run, answer)


async def healed(sandbox, text, wanted=None, **more):
    answer = await answer_to(sandbox, answering(text, **more), wanted or JsonRepair())
    assert isinstance(answer, Completion)
    return answer.choices[0]["message"]["content"]


@pytest.mark.parametrize(
    "broken",
    [
        '{"city": "Oslo", "people": 7',
        '```json\n{"city": "Oslo", "people": 7}\n```',
        'Here you are:\n{"city": "Oslo", "people": 7}',
        "{'city': 'Oslo', 'people': 7}",
        '{"city": "Oslo", "people": 7,}',
        '{city: "Oslo", people: 7}',
    ],
)
async def test_what_was_meant_comes_back(sandbox, broken):
    assert json.loads(await healed(sandbox, broken)) == {"city": "Oslo", "people": 7}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_good_json_is_left_byte_for_byte(value):
    text = json.dumps(value, indent=1)
    assert repair(text, None) == (text, None)


async def test_prose_is_not_made_into_json(sandbox):
    assert await healed(sandbox, "I would rather not say.") == "I would rather not say."


@pytest.mark.parametrize("more", [{"finish_reason": "length"}, {"finish_reason": "tool_calls"}])
async def test_an_answer_that_was_cut_is_not_passed_off_as_whole(sandbox, more):
    assert await healed(sandbox, '{"city": "Os', **more) == '{"city": "Os'


@pytest.mark.parametrize(
    "text", ["no idea", '{"city": "Oslo"}', '{"city": 1, "people": 2}', '{"city": "O", "x": 1}']
)
async def test_what_does_not_fit_moves_on_where_that_is_asked(sandbox, text):
    failure = await answer_to(sandbox, answering(text), JsonRepair(SCHEMA, must_fit=True))
    assert isinstance(failure, Failure)
    assert failure.outcome is AttemptOutcome.REJECTED
    plan = Plan([PlanStep(make_endpoint(name), "") for name in ("alpha", "beta")])
    again = Situation(plan, 0, 2, 2, 5, 1000.0, OnUnknown.HOLD)
    assert decide(failure, again, chance=0.0) == Retry(1)
    unfit = await answer_to(sandbox, answering(text), JsonRepair(SCHEMA))
    assert isinstance(unfit, Completion)


async def test_what_fits_after_mending_is_an_answer(sandbox):
    answer = answering('{"city": "Oslo", "people": 7')
    repaired = await answer_to(sandbox, answer, JsonRepair(SCHEMA, must_fit=True))
    assert isinstance(repaired, Completion)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"type": "no such type"},
        {"properties": 7},
        {"properties": {"city": {"pattern": "^(a+)+$"}}},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    ],
)
async def test_no_schema_fetches_hangs_or_breaks(sandbox, schema):
    text = json.dumps({"city": "a" * 40 + "!", "a" * 40 + "!": 1})
    began = time.monotonic()
    answer = await answer_to(sandbox, answering(text), JsonRepair(schema, must_fit=True))
    assert isinstance(answer, Completion)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("plugins", "form", "wanted"),
    [
        ([{"id": "response-healing"}], FORMAT, JsonRepair(SCHEMA)),
        ([{"id": "response-healing", "retry": True}], FORMAT, JsonRepair(SCHEMA, must_fit=True)),
        ([{"id": "response-healing"}], {"type": "json_object"}, JsonRepair()),
        ([{"id": "response-healing", "enabled": False}], FORMAT, None),
        ([{"id": "response-healing"}], {"type": "text"}, None),
        ([{"id": "response-healing"}], None, None),
        ([{"id": "web"}], FORMAT, None),
        (None, FORMAT, None),
    ],
)
def test_when_it_is_asked(plugins, form, wanted):
    assert read_requested_repair(plugins, {"response_format": form}) == wanted


HOSTILE = {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}] * 9}}}
for _inner, _outer in zip("abcdefg", "bcdefgh", strict=True):
    HOSTILE["$defs"][_inner] = {"allOf": [{"$ref": f"#/$defs/{_outer}"}] * 9}
HOSTILE["$defs"]["h"] = {"type": "object"}
HOSTILE["$ref"] = "#/$defs/a"


async def test_a_schema_that_takes_for_ever_costs_its_sender_only(sandbox, monkeypatch):
    monkeypatch.setattr("workers.attempt.json_repair.REPAIR_SECONDS", 0.5)
    answer = answering('{"city": "Oslo", "people": 7}')
    # Given a few such answers of one workspace
    wanted = JsonRepair(HOSTILE, must_fit=True)
    hostile = [asyncio.create_task(answer_to(sandbox, answer, wanted)) for _ in range(6)]
    await asyncio.sleep(0)
    # Then another's is checked beside them
    began = time.monotonic()
    run = sandbox.run("ws_2", 5, repair, '{"city": "Oslo"', SCHEMA)
    assert (await run)[1] is not None
    beside = time.monotonic() - began
    failures = await asyncio.gather(*hostile)
    assert all("took more than 0.5 s" in failure.message for failure in failures)
    assert beside < time.monotonic() - began


@pytest.mark.parametrize(
    ("text", "schema", "said"),
    [
        ("[" * 3_000 + "]" * 3_000, {}, "it is nested too deeply"),
        ("[" * 3_000, None, "it is nested too deeply"),
        ("no JSON", None, "it is not JSON"),
    ],
)
def test_what_cannot_be_read_stays_as_it_came(text, schema, said):
    assert repair(text, schema) == (text, said)


def test_no_half_of_a_surrogate_pair_is_left():
    repaired, violation = repair(
        '{"\\ud83d": "\\ud83d", b: 1', {"additionalProperties": {"type": "object"}}
    )
    assert "\ufffd" in repaired
    repaired.encode()
    violation.encode()


async def test_a_broken_pool_is_replaced(sandbox):
    await sandbox.run("ws_1", 5, repair, "{}", None)
    sandbox._pool.stop()
    with pytest.raises(SandboxError, match="could be started"):
        await sandbox.run("ws_1", 5, repair, "{}", None)
    assert await sandbox.run("ws_1", 5, repair, "{}", None) == ("{}", None)


ORPHANING = """
import asyncio
from workers.sandbox.pool import Sandbox, SandboxError

async def main():
    sandbox = Sandbox()
    print(await sandbox.run("ws_1", 60, __import__("os").getpid), flush=True)
    await sandbox.run("ws_1", 60, sum, range(10**12))

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_no_computation_outlives_a_killed_worker(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(ORPHANING)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as worker:
        worker.stdout.readline()
        found = until(
            lambda: psutil.Process(worker.pid).children(recursive=True), 10, "no processes"
        )
        worker.kill()
    gone, alive = psutil.wait_procs(found, timeout=10)
    assert (len(gone), alive) == (len(found), [])


async def test_a_low_limit_of_the_system_is_no_obstacle():
    sandbox = Sandbox(limits=ProcessLimits(memory_bytes=2**62))
    assert await sandbox.run("ws_1", 5, repair, "{}", None) == ("{}", None)
    sandbox.close()
