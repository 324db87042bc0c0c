"""The `openrouter` SDK, as far as our answers are concerned."""

from collections.abc import Iterator

import pytest
from openrouter import OpenRouter
from openrouter.errors import NotFoundResponseError, UnauthorizedResponseError

from tests.installation import KEY, Installation
from tests.stacks import any_stack

pytestmark = any_stack

HELLO = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def sdk(installation: Installation) -> Iterator[OpenRouter]:
    with OpenRouter(api_key=KEY, server_url=installation.url) as client:
        yield client


def test_completion(sdk: OpenRouter) -> None:
    answer = sdk.chat.send(model="sim/sim-echo", messages=HELLO)
    assert answer.choices[0].message.content == "one two three"
    assert answer.usage.cost > 0


def test_stream(sdk: OpenRouter) -> None:
    with sdk.chat.send(model="sim/sim-echo", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three"
    assert chunks[-1].usage.cost > 0


def test_fallback_models(sdk: OpenRouter) -> None:
    answer = sdk.chat.send(models=["gone/sim", "sim/sim-echo"], messages=HELLO)
    assert answer.model == "sim/sim-echo"


def test_generation(sdk: OpenRouter) -> None:
    answer = sdk.chat.send(model="sim/sim-echo", messages=HELLO)
    told = sdk.generations.get_generation(id=answer.id)
    assert told.data.total_cost == answer.usage.cost
    assert told.data.tokens_completion == answer.usage.completion_tokens


def test_models(sdk: OpenRouter) -> None:
    assert "sim/sim-echo" in [model.id for model in sdk.models.list().result.data]


def test_wrong_key(installation: Installation) -> None:
    with (
        OpenRouter(api_key="sk-wrong", server_url=installation.url) as client,
        pytest.raises(UnauthorizedResponseError),
    ):
        client.chat.send(model="sim/sim", messages=HELLO)


def test_unknown_model(sdk: OpenRouter) -> None:
    with pytest.raises(NotFoundResponseError, match="sim/sim-echo"):
        sdk.chat.send(model="sim/sim-ecko", messages=HELLO)
