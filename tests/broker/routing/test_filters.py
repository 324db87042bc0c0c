"""Filters exclude endpoints with a reason; the error names it when none is left."""

import pytest

from broker.errors import NoEndpointError
from broker.pricing import Price
from broker.providers.endpoints import DataPolicy
from broker.routing import Requirements
from tests.broker.routing.worlds import MODEL, USD, at, order, planned

PRIVATE = DataPolicy(trains=False, retention_days=0, zdr=True)
KEEPS = DataPolicy(trains=False, retention_days=30)
TOOLS = frozenset({"tools"})
FORMAT = frozenset({"response_format"})

CASES = [
    ("context_length", {"context_length": 100}, Requirements(input_tokens=200), {}),
    ("max_completion_tokens", {"max_completion_tokens": 5}, Requirements(output_tokens=6), {}),
    ("modality", {"input_modalities": frozenset({"text"})}, Requirements(frozenset({"image"})), {}),
    ("output_modality", {}, Requirements(outputs=frozenset({"image"})), {}),
    ("tools", {"supported_parameters": FORMAT}, Requirements(parameters=TOOLS, must=TOOLS), {}),
    ("response_format", {"supported_parameters": TOOLS},
     Requirements(parameters=FORMAT, must=FORMAT), {}),
    ("require_parameters", {"supported_parameters": TOOLS},
     Requirements(parameters=frozenset({"seed"})), {"require_parameters": True}),
    ("data_policy:training", {}, Requirements(), {"data_collection": False}),
    ("data_policy:training", {"data_policy": DataPolicy(trains=True)}, Requirements(),
     {"data_collection": False}),
    ("data_policy:zdr", {"data_policy": KEEPS}, Requirements(), {"zdr": True}),
    ("distillable", {}, Requirements(), {"distillable": True}),
    ("quantization", {"quantization": "fp8"}, Requirements(), {"quantizations": {"bf16"}}),
    ("quantization", {}, Requirements(), {"quantizations": {"bf16"}}),
    ("max_price", {}, Requirements(), {"max_price": {"completion": USD - 1}}),
    ("max_price", {"price": Price(request=2)}, Requirements(), {"max_price": {"request": 1}}),
    ("max_price", {"price": Price(image=2)}, Requirements(), {"max_price": {"image": 1}}),
    ("allowed_providers", {}, Requirements(), {"only": {"fit"}}),
    ("ignored_providers", {}, Requirements(), {"ignore": {"odd"}}),
    ("allowed_providers", {}, Requirements(), {"order": ["fit"], "allow_fallbacks": False}),
]  # fmt: skip
FIT = {
    "context_length": 1_000,
    "max_completion_tokens": 100,
    "input_modalities": frozenset({"text", "image"}),
    "output_modalities": frozenset({"text", "image"}),
    "data_policy": PRIVATE,
    "distillable": True,
    "quantization": "bf16",
    "price": Price(),
}


@pytest.mark.parametrize(("code", "facts", "requirements", "wishes"), CASES)
def test_an_endpoint_that_does_not_do_is_left_out_and_that_is_told(
    code, facts, requirements, wishes
):
    plan = planned([at("odd", **facts), at("fit", **FIT)], requirements=requirements, **wishes)
    assert order(plan) == ["fit"]
    assert [(each.provider, each.code) for each in plan.excluded] == [("odd", code)]


@pytest.mark.parametrize(("code", "facts", "requirements", "wishes"), CASES)
def test_when_nobody_does_the_condition_is_named(code, facts, requirements, wishes):
    with pytest.raises(NoEndpointError) as refusal:
        planned([at("odd", **facts)], requirements=requirements, **wishes)
    error = refusal.value
    assert error.status == 404
    assert error.param
    availability = error.metadata["availability"]
    assert availability["retryable"] is False
    assert availability["requested_models"] == [MODEL]
    if (code, error.param) == ("modality", "messages"):
        return  # it has an error of its own
    assert availability["excluded_by"] == [code]
    assert availability["affected_providers"] == ["odd"]
    assert availability["constraint"]["field"] == error.param
    private = code.startswith("data_policy:")
    assert availability["code"] == ("privacy_restricted" if private else "constraint_filtered")


def test_the_last_condition_to_fail_is_the_one_to_loosen():
    endpoints = [at("small", context_length=10), at("dear", 9)]
    with pytest.raises(
        NoEndpointError, match=r"small \(holds 10\).*dear \(9 USD for prompt\)\.$"
    ) as refusal:
        planned(endpoints, requirements=Requirements(input_tokens=500), max_price={"prompt": USD})
    assert refusal.value.param == "provider.max_price"


def test_a_refusal_reads_like_a_sentence():
    endpoints = [at("a", 2), at("b", 3), at("c")]
    with pytest.raises(NoEndpointError) as refusal:
        planned(endpoints, only={"a", "b"}, max_price={"prompt": USD})
    assert refusal.value.message == (
        "No endpoint of acme/large fits this request: provider.only asks for a provider among a, b,"
        " which leaves out c; provider.max_price asks for a price of at most 1 USD for prompt, "
        "which leaves out a (2 USD for prompt) and b (3 USD for prompt)."
    )


def test_a_guess_of_the_prompts_size_refuses_only_what_is_surely_too_long():
    assert order(
        planned([at("a", context_length=1_000)], requirements=Requirements(input_tokens=1_200))
    ) == ["a"]
    with pytest.raises(NoEndpointError):
        planned([at("a", context_length=1_000)], requirements=Requirements(input_tokens=1_300))
    long = Requirements(input_tokens=9_000, shortened_up_to=1_000)
    both = [at("a", context_length=1_000), at("b", context_length=2_000)]
    assert order(planned(both, requirements=long)) == ["a"]


def test_what_nobody_wrote_down_refuses_nothing():
    requirements = Requirements(
        frozenset({"image"}), parameters=TOOLS, must=TOOLS, input_tokens=10**6
    )
    assert order(planned([at("a")], requirements=requirements)) == ["a"]


def test_a_slug_with_a_build_means_that_build_only():
    builds = [at("deep", quantization="fp8"), at("deep", quantization="bf16"), at("other")]
    plan = planned(builds, only={"deep/bf16"})
    assert [plan[n].quantization for n in range(len(plan))] == ["bf16"]
    assert len(planned(builds, only={"deep"})) == 2


def test_a_model_without_endpoints_is_another_matter():
    with pytest.raises(NoEndpointError, match=MODEL) as refusal:
        planned([], models=[MODEL])
    assert refusal.value.metadata["availability"]["code"] == "no_endpoints"
