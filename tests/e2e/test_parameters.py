"""Parameters that an endpoint does not support: dropped, or a reason to ask it last or never."""

from typing import Any

import pytest

from tests.installation import Installation
from tests.stacks import any_stack

pytestmark = any_stack

FUNCTION = {"name": "clock", "parameters": {"type": "object", "properties": {}}}
CHEAPEST = {"sort": "price"}
TOOLS = [{"type": "function", "function": FUNCTION}]


def ask(installation: Installation, model: str, **more: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
    return installation.http.post("/chat/completions", json=body)


def sent(installation: Installation, field: str) -> bool:
    return bool(installation.calls(field)["matching"])


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_supported_is_dropped(installation: Installation, stream: bool) -> None:
    seed, choices = 4711 + stream, installation.calls('"tool_choice"')["matching"]
    answer = ask(
        installation, "picky/echo", temperature=0.3, seed=seed, stop=["."],
        tool_choice="none", tools=TOOLS, verbosity="low", stream=stream,
    )  # fmt: skip
    assert answer.status_code == 200
    assert "Hello" in answer.text if not stream else "Hell" in answer.text
    assert not sent(installation, f'"seed":{seed}')
    assert installation.calls('"tool_choice"')["matching"] == choices
    assert sent(installation, '"temperature":0.3')


def test_the_limit_that_bounds_the_cost_is_never_dropped(installation: Installation) -> None:
    answer = ask(installation, "picky/echo", max_tokens=1).json()
    assert answer["choices"][0]["message"]["content"] == "Hell"
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_models_list_holds_for_its_endpoints(installation: Installation) -> None:
    ask(installation, "picky/all", temperature=0.77, reasoning={"effort": "minimal"})
    assert sent(installation, '"reasoning_effort":"minimal"')  # the list has it under another name
    assert not sent(installation, '"temperature":0.77')


def test_fields_that_are_no_parameters_pass(installation: Installation) -> None:
    ask(installation, "picky/echo", vendor_extension=31337)
    assert sent(installation, '"vendor_extension":31337')


def provider(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["provider"])


def test_endpoints_without_tools_are_left_out_when_tools_are_sent(
    installation: Installation,
) -> None:
    assert provider(ask(installation, "mixed/tools", provider=CHEAPEST)) == "sim"
    answer = ask(installation, "mixed/tools", tools=TOOLS)
    assert provider(answer) == "spare"
    assert answer.json()["choices"][0]["finish_reason"] == "tool_calls"
    job = installation.job(answer.headers["x-job-id"])
    assert [place["provider"] for place in job["plan"]] == ["spare"]
    assert job["routing"]["excluded"] == [
        {"provider": "sim", "model": "mixed/tools", "excluded_by": "tools", "detail": ""}
    ]


@pytest.mark.parametrize("wanted", [{"tools": TOOLS}, {"response_format": {"type": "json_object"}}])
def test_an_answer_of_another_kind_is_refused_rather_than_given(
    installation: Installation, wanted: dict[str, Any]
) -> None:
    answer = ask(installation, "picky/echo", **wanted)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["param"] in wanted
    assert error["metadata"]["availability"]["excluded_by"] == list(wanted)


def test_only_tools_and_the_like_change_the_order(installation: Installation) -> None:
    assert provider(ask(installation, "mixed/tools", top_p=0.5, provider=CHEAPEST)) == "sim"
    assert provider(ask(installation, "mixed/tools", verbosity="low", provider=CHEAPEST)) == "sim"
    assert (
        provider(ask(installation, "mixed/tools", tool_choice="auto", provider=CHEAPEST)) == "spare"
    )


def test_required_parameters_leave_endpoints_out(installation: Installation) -> None:
    required = {"require_parameters": True}
    answer = ask(installation, "mixed/tools", tools=TOOLS, provider=required)
    assert [
        place["provider"] for place in installation.job(answer.headers["x-job-id"])["plan"]
    ] == ["spare"]
    required |= CHEAPEST
    assert provider(ask(installation, "mixed/tools", seed=1, provider=required)) == "sim"
    assert provider(ask(installation, "mixed/tools", max_tokens=9, provider=required)) == "sim"


def test_when_none_has_them_all_that_is_said(installation: Installation) -> None:
    required = {"require_parameters": True}
    answer = ask(installation, "mixed/tools", logprobs=True, provider=required)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["param"] == "provider.require_parameters"
    assert "logprobs" in error["message"]
    assert "seed" not in error["message"]
    answer = ask(installation, "mixed/tools", seed=1, tools=TOOLS, provider=required)
    assert answer.status_code == 404
    fallback = ask(installation, "picky/echo", models=["mixed/tools"], seed=1, provider=required)
    assert fallback.json()["model"] == "mixed/tools"


def test_each_endpoint_of_a_plan_is_sent_what_it_supports(installation: Installation) -> None:
    answer = ask(installation, "mixed/moves", top_p=0.123, top_k=123, provider=CHEAPEST)
    assert provider(answer) == "spare"
    assert sent(installation, '"top_p":0.123')
    assert sent(installation, '"top_k":123')
    assert installation.calls('"top_p":0.123,"top_k":123')["matching"] == 0
    job = installation.job(answer.headers["x-job-id"])
    assert [each["outcome"] for each in job["attempts"]] == ["rejected", "ok"]
