"""Parameters are dropped, required or preferred."""

import pytest

from broker import routing
from broker.errors import NoEndpointError
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.requests import parameters
from broker.requests.operations import Interface
from broker.routing import RoutingRequest, requirements

TEXT_ONLY = frozenset({"temperature", "max_tokens"})
BODY = {
    "messages": [{"role": "user", "content": "Hello"}],
    "temperature": 0.5,
    "max_completion_tokens": 10,
    "seed": 7,
    "tools": [{"type": "function", "function": {"name": "look"}}],
    "metadata": {"order": "42"},
}


def endpoint(provider: str, *, supported: frozenset[str] | None, prompt: int = 0) -> Endpoint:
    price = Price(prompt=prompt)
    return Endpoint(provider, "a/1", "one", price=price, supported_parameters=supported)


def test_what_an_endpoint_does_not_support_is_dropped_and_all_else_kept() -> None:
    sent = parameters.drop_unsupported(BODY, TEXT_ONLY)
    assert sent == {name: BODY[name] for name in BODY if name not in {"seed", "tools"}}


def test_an_endpoint_that_supports_all_gets_all() -> None:
    assert parameters.drop_unsupported(BODY, None) == BODY


def test_the_cap_on_the_answer_is_never_dropped() -> None:
    assert parameters.drop_unsupported({"max_tokens": 5}, frozenset({"seed"})) == {"max_tokens": 5}


def test_other_names_of_a_parameter_count() -> None:
    body = {"reasoning_effort": "low", "response_format": {"type": "json_object"}}
    assert parameters.drop_unsupported(body, frozenset({"reasoning", "structured_outputs"})) == body


def plan_of(body, *endpoints):
    ask = RoutingRequest(
        ["a/1"], requirements.find_requirements(body), routing.read_preferences(body)
    )
    return routing.plan(ask, {"a/1": endpoints})


def test_endpoints_without_what_was_asked_of_the_answer_are_left_out() -> None:
    cheap, dear = endpoint("cheap", supported=TEXT_ONLY), endpoint("dear", supported=None, prompt=9)
    plan = plan_of(BODY, cheap, dear)
    assert [place.endpoint.provider for place in plan.steps] == ["dear"]
    with pytest.raises(NoEndpointError, match="tools"):
        plan_of(BODY, cheap)


def test_endpoints_that_lack_a_preferred_parameter_come_last() -> None:
    cheap, dear = endpoint("cheap", supported=TEXT_ONLY), endpoint("dear", supported=None, prompt=9)
    plan = plan_of({"verbosity": "low"}, cheap, dear)
    assert [place.endpoint.provider for place in plan.steps] == ["dear", "cheap"]
    assert "lacks verbosity" in plan.steps[1].reason


def test_required_parameters_leave_out_endpoints_that_lack_one() -> None:
    cheap, dear = endpoint("cheap", supported=TEXT_ONLY), endpoint("dear", supported=None, prompt=9)
    plan = plan_of({"seed": 1, "provider": {"require_parameters": True}}, cheap, dear)
    assert [place.endpoint.provider for place in plan.steps] == ["dear"]


def test_required_parameters_that_nobody_supports_are_named() -> None:
    body = {"seed": 1, "logprobs": True, "provider": {"require_parameters": True}}
    with pytest.raises(NoEndpointError, match="lacks logprobs, seed") as refusal:
        plan_of(body, endpoint("cheap", supported=TEXT_ONLY))
    assert refusal.value.param == "provider.require_parameters"


def test_a_stored_plan_remembers_what_is_supported() -> None:
    plan = plan_of({}, endpoint("cheap", supported=TEXT_ONLY))
    assert routing.decode_plan(routing.encode_plan(plan))[0].supported_parameters == TEXT_ONLY


def test_parameters_that_the_responses_api_lacks_are_dropped_whatever_is_listed() -> None:
    behind = Interface.RESPONSES
    kept = {name: BODY[name] for name in BODY if name != "seed"}
    assert parameters.drop_unsupported(BODY, None, behind) == kept
    listed = frozenset({"seed", "temperature", "max_tokens", "tools"})
    assert parameters.drop_unsupported(BODY, listed, behind) == kept
    known = Endpoint("openai", "a/1", "one", interface=behind)
    assert known.lacks(frozenset({"seed", "tools"})) == {"seed"}
