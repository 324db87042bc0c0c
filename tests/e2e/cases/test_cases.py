"""Play recorded faults of providers and clients to a running Waybill.

The cases are files outside the repository (`WAYBILL_TEST_CASES`, else `../shared/cases`). Where
they are missing, these tests are skipped; each class of fault also has tests of its own.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cases.observation import Observation, find, sent_messages
from tests.e2e.cases.playback import Playback, Recording
from tests.installation import REPOSITORY, Installation
from tests.stacks import own_stack

FOLDER = Path(os.environ.get("WAYBILL_TEST_CASES", REPOSITORY / "../shared/cases"))
CASES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
CALLS = {name: case for name, case in CASES.items() if "case" in case}
ANSWERS = {name: case for name, case in CASES.items() if "provider_answer" in case}
BY_HAND = {name for name, case in CASES.items() if case.get("replay") is False}
"""Cases that take more than one request; tests of their own hold them."""

BASES = {"anthropic": "/v1", "gemini": "/v1beta", "bedrock": "", "cohere": ""}
NEWLINE_KEY = "sk-nl-secret-0123456789\n"
TOLERANCE = 1e-9
ROUNDING = 1e-4
"""The least cost that a case names is rounded to four places."""

pytestmark = [
    own_stack,
    pytest.mark.skipif(not CASES, reason=f"no cases in {FOLDER}"),
    pytest.mark.xdist_group("cases"),
]


@pytest.fixture(scope="module")
def playback() -> Iterator[Playback]:
    playback = Playback()
    yield playback
    playback.close()


@pytest.fixture(scope="module")
def waybill(playback: Playback) -> Iterator[Installation]:
    installation = Installation(
        {"NL_KEY": NEWLINE_KEY, "WAYBILL_DEFAULT_MAX_ATTEMPTS": "1"},
        config=_configuration(playback),
    )
    with installation:
        yield installation


def _configuration(playback: Playback) -> str:
    """Return a provider and a model for each endpoint of each case."""
    tables: list[str] = []
    for number, (name, case) in enumerate(CALLS.items()):
        for place, endpoint in enumerate(case["endpoints"]):
            slug = f"c{number}-{place}"
            playback.recordings[slug] = Recording(case["provider_answers"])
            playback.names[slug] = endpoint["waybill_model"]
            base = f"/{slug}{BASES.get(endpoint['wire'], '/v1')}"
            key = "env:NL_KEY" if "NL_KEY" in endpoint.get("api_key", "") else "a-key-of-tests"
            tables.append(_provider(slug, endpoint["wire"], playback.port, base, key))
            if endpoint.get("quirks"):
                tables.append(f"quirks = {json.dumps(endpoint['quirks'])}")
            if endpoint["wire"] == "bedrock":
                tables.append('options = { region = "us-east-1" }')
            tables.append(_model(_slug(name, place), slug, endpoint["native_model"], case))
    for slug in dict.fromkeys(case["provider"]["slug"] for case in ANSWERS.values()):
        provider = next(c["provider"] for c in ANSWERS.values() if c["provider"]["slug"] == slug)
        base = f"/{slug}{provider['base']}"
        tables.append(_provider(slug, provider["wire"], playback.port, base, "a-key-of-tests"))
    for name, case in ANSWERS.items():
        tables.append(_model(_slug(name, 0), case["provider"]["slug"], name, case))
    return "\n".join(tables)


def _provider(slug: str, wire: str, port: int, base: str, key: str) -> str:
    return (
        f'\n[[providers]]\nslug = "{slug}"\nwire = "{wire}"\n'
        f'base_url = "http://127.0.0.1:{port}{base}"\napi_key = "{key}"'
    )


def _model(slug: str, provider: str, native: str, case: Mapping[str, Any]) -> str:
    prices = {name: price for name, price in case["prices"].items() if name != "unit"}
    listed = "".join(f', {name} = "{price}"' for name, price in prices.items())
    modalities = case.get("output_modalities") or case["request"]["body"].get("modalities")
    outputs = f"output_modalities = {json.dumps(modalities)}\n" if modalities else ""
    endpoint = f'provider = "{provider}", model = "{native}"{listed}'
    return f'\n[[models]]\nslug = "{slug}"\n{outputs}endpoints = [{{ {endpoint} }}]\n'


def _slug(name: str, place: int) -> str:
    return f"cases/{name.lower().replace('.', '-').replace('_', '-')}-{place}"


def _call(installation: Installation, case: Mapping[str, Any], model: str) -> Observation:
    request = case["request"]
    body = dict(request["body"])
    path = request["path"].removeprefix("/api/v1")
    if path == "/jobs":
        body["body"] = {**body["body"], "model": model}
    else:
        body["model"] = model
    sent = {name: value.encode() for name, value in (request.get("headers") or {}).items()}
    began = time.monotonic()
    answer = installation.http.post(path, json=body, headers={**installation.headers, **sent})
    took = time.monotonic() - began
    return Observation(installation, answer.status_code, answer.text, answer.headers, took)


PLACES = [
    pytest.param(name, place, id=f"{name}-{place}")
    for name, case in CALLS.items()
    for place in range(len(case["endpoints"]))
    if name not in BY_HAND
]


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_a_call_shows_what_its_case_expects(waybill, playback, name, place):
    case = CALLS[name]
    recording = playback.recordings[f"c{list(CALLS).index(name)}-{place}"]
    seen = _call(waybill, case, _slug(name, place))
    seen.requests = recording.requests  # a job goes on after its acceptance
    for expected in case["expected"]:
        _check(seen, expected)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_read_as_its_case_says(waybill, playback, name):
    case = ANSWERS[name]
    answer = case["provider_answer"]
    head = [f"HTTP/1.1 {answer['status']} X", f"content-type: {answer['content_type']}"]
    played = {"head": head, "framing": "content-length", "body": [answer["body"]], "end": "proper"}
    playback.recordings[case["provider"]["slug"]] = Recording([played])
    seen = _call(waybill, case, _slug(name, 0))
    for path, right in case["right"].items():
        if path == "status":
            assert seen.status == right, seen.text_body
        elif path == "stream_text":
            assert seen.text == right, seen.text_body
        else:
            _compare(find(seen.answer, path), right, seen.text_body)


def _check(seen: Observation, expected: Mapping[str, Any]) -> None:
    of = expected["of"]
    if of == "sent_call_ids":
        messages = sent_messages(seen.requests[-1].json)
        ids = [call for message in messages for call in message.calls]
        assert ids
        assert len(set(ids)) == len(ids)
        return
    if of == "sent_results":
        _check_results_follow(seen.requests[-1].json)
        return
    if of == "upstream_header":
        assert seen.requests[-1].headers[expected["name"]] == expected["is"]
        return
    _assert_expectation(_observe(seen, of, expected.get("path", "")), expected, seen.text_body)


def _observe(seen: Observation, of: str, path: str) -> Any:
    if of == "sent":
        return find(seen.requests[-1].json, path)
    if of == "sent_anywhere":
        return seen.requests[-1].body.decode()
    if of == "stored":
        return find(seen.job["response"], path)
    if of == "job.cost":
        return seen.job["usage"]["cost"]
    if of == "job.status":
        return seen.job["status"]
    if of == "upstream_calls":
        return len(seen.requests)
    found = getattr(seen, of)
    return find(found, path) if path else found


def _assert_expectation(value: Any, expected: Mapping[str, Any], body: str) -> None:
    if "is" in expected:
        _compare(value, expected["is"], body)
    if "one_of" in expected:
        assert value in expected["one_of"], body
    if "under" in expected:
        assert value < expected["under"], body
    if "at_least" in expected:
        assert value >= expected["at_least"] - ROUNDING, body
    if "contains_text" in expected:
        assert expected["contains_text"] in value
    if "contains_one_of" in expected:
        assert any(text in value for text in expected["contains_one_of"]), value
    if expected.get("type") == "text":
        assert isinstance(value, str), value


def _compare(value: Any, right: Any, body: str) -> None:
    if isinstance(right, float):
        assert value == pytest.approx(right, abs=TOLERANCE), body
    else:
        assert value == right, body


def _check_results_follow(body: Any) -> None:
    """Check that each result names a call of the last message that made calls."""
    made: list[str] = []
    for message in sent_messages(body):
        assert set(message.results) <= set(made), body
        made = message.calls or made
