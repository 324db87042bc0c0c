"""Response healing and context compression, asked for as OpenRouter's callers ask."""

import json

import pytest

from tests.installation import Installation, chat
from tests.stacks import any_stack

pytestmark = any_stack

HEALING = {"id": "response-healing"}
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}


def test_broken_json_comes_back_whole(installation: Installation) -> None:
    body = chat("sim-echo", '```json\n{"city": "Oslo"', plugins=[HEALING], response_format=FORMAT)
    answer = installation.http.post("/chat/completions", json=body)
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"city": "Oslo"}


def test_an_answer_that_cannot_be_healed_is_sought_elsewhere(installation: Installation) -> None:
    plugins = [HEALING | {"retry": True}]
    body = chat("sim-echo", "I will not.", plugins=plugins, response_format=FORMAT)
    answer = installation.http.post("/chat/completions", json=body | {"models": ["sim/sim-json"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "sim/sim-json"
    assert "city" in json.loads(answer.json()["choices"][0]["message"]["content"])
    job = installation.job(answer.headers["x-job-id"])
    assert [each["outcome"] for each in job["attempts"]] == ["rejected", "rejected", "ok"]
    installation.audit([job["id"]])


def test_a_prompt_too_long_loses_its_middle(installation: Installation) -> None:
    long = "begin " + "x" * 700_000 + " end"
    body = chat("sim-echo", long, transforms=["middle-out"])
    told = installation.http.post("/chat/completions", json=body).json()
    text = told["choices"][0]["message"]["content"]
    assert text.startswith("begin x")
    assert text.endswith("x end")
    assert len(text) < 128_000 * 4


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"plugins": [{"id": "context-compression", "engine": "lossy"}]}, "plugins"),
        ({"plugins": [HEALING | {"retry": "yes"}]}, "plugins"),
        ({"transforms": ["inside-out"]}, "transforms"),
    ],
)
def test_what_is_not_there_is_refused(installation: Installation, wrong: dict, param: str) -> None:
    answer = installation.http.post("/chat/completions", json=chat() | wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
