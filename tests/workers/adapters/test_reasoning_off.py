"""Reasoning that cannot be turned off: the request is refused before anything is sent."""

import pytest

from broker.completion import AttemptOutcome, CompletionRequest, ErrorType
from workers.adapters.base import ProviderFailureError, Upstream
from workers.adapters.registry import ADAPTERS

ALWAYS_REASON = [
    ("gemini", "gemini-2.5-pro"),
    ("gemini", "gemini-3-pro-preview"),
    ("mistral", "magistral-medium-latest"),
    ("bedrock", "openai.gpt-oss-120b-1:0"),
    ("bedrock", "us.deepseek.r1-v1:0"),
]


def build(wire, model, **body):
    asked = {"messages": [{"role": "user", "content": "a"}], **body}
    upstream = Upstream("p", "https://h/v1", api_key="a:b", options={"region": "us-east-1"})
    return ADAPTERS[wire].build_request(CompletionRequest(asked, model), upstream)


@pytest.mark.parametrize(("wire", "model"), ALWAYS_REASON)
@pytest.mark.parametrize("wish", [{"enabled": False}, {"effort": "none"}])
def test_a_model_that_always_reasons_refuses(wire, model, wish):
    with pytest.raises(ProviderFailureError, match=f"reasoning: {model} always reasons") as caught:
        build(wire, model, reasoning=wish)
    assert caught.value.failure.outcome is AttemptOutcome.NOT_SENT
    assert caught.value.failure.error_type is ErrorType.INVALID_REQUEST


@pytest.mark.parametrize(("wire", "model"), ALWAYS_REASON)
@pytest.mark.parametrize("wish", [{}, {"effort": "low"}, {"exclude": True}])
def test_other_wishes_are_sent(wire, model, wish):
    assert build(wire, model, reasoning=wish)
