"""What is said of a wrong body: in the words of JSON, not of Python."""

import pytest

from broker.bodies import SCHEMAS, validated
from broker.errors import InvalidRequestError
from broker.operations import Operation

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
