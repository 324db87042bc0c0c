"""Errors of bodies speak of JSON, not of Python."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from broker.errors import InvalidRequestError
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation

USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stream_options": 1}, "stream_options: must be an object"),
        ({"provider": []}, "provider: must be an object"),
        ({"tools": [1]}, "tools.0: must be an object"),
        ({"messages": [1]}, "messages.0: must be an object"),
        ({"seed": "x", "top_k": "y"}, "top_k: must be a whole number (and 1 more)"),
        ({"temperature": 9}, "temperature: must be 2 or less"),
        ({"stop": 4}, "stop: must be text or a list"),
        ({"messages": []}, "messages: must have 1 or more in it"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role: is needed"),
        (
            {"messages": [{"role": "wizard", "content": "hi"}]},
            (
                "messages.0.role: 'wizard' is none of 'system', 'developer', 'user', 'assistant', "
                "'tool', 'function'"
            ),
        ),
    ],
)
def test_a_refusal_speaks_of_json(change, told):
    with pytest.raises(InvalidRequestError) as refused:
        validated(SCHEMAS[Operation.CHAT], {"model": "a/b", "messages": [USER]} | change)
    assert str(refused.value) == told


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] = "a"
    limit: Annotated[float, Field(ge=0.5, le=1e9)] = 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"naem": "x"}, "name: is needed; naem: there is no such field"),
        ({"name": "x", "naem": "x"}, "naem: there is no such field"),
        (
            {"name": "x", "slug": "A B"},
            "slug: must be lower-case letters, digits and single hyphens, as my-team",
        ),
        ({"name": "x", "limit": 1e10}, "limit: must be 1,000,000,000 or less"),
        ({"name": "x", "limit": 0}, "limit: must be 0.5 or more"),
    ],
)
def test_a_slip_is_told_in_words(body, told):
    with pytest.raises(InvalidRequestError) as refused:
        validated(Closed, body)
    assert str(refused.value) == told


def test_a_json_schema_format_has_its_schema():
    form = {"response_format": {"type": "json_schema"}}
    body = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(InvalidRequestError, match="json_schema is needed") as refused:
        validated(SCHEMAS[Operation.CHAT], body | form)
    assert refused.value.param == "response_format"
