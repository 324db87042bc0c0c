"""What is said of a wrong body: in the words of JSON, not of Python."""

import pytest

from broker.bodies import SCHEMAS, validated
from broker.errors import InvalidRequestError
from broker.operations import Operation

USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stream_options": 1}, "stream_options: Input should be an object"),
        ({"provider": []}, "provider: Input should be an object"),
        ({"tools": [1]}, "tools.0: Input should be an object"),
        ({"messages": [1]}, "messages.0: Input should be an object"),
        ({"seed": "x", "top_k": "y"}, "top_k: Input should be a valid integer (and 1 more)"),
    ],
)
def test_a_refusal_speaks_of_json(change, told):
    with pytest.raises(InvalidRequestError) as refused:
        validated(SCHEMAS[Operation.CHAT], {"model": "a/b", "messages": [USER]} | change)
    assert str(refused.value) == told
