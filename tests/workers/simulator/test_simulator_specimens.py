from typing import Literal

import pytest
from pydantic import BaseModel, Field

from workers.simulator.specimens import DEEPEST, specimen
from workers.simulator.wire import RefusedError


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Hi Bob"),
        ({"type": "string", "maxLength": 2}, "Hi"),
        ({"type": "string", "minLength": 8}, "Hi Bob.."),
        ({"type": "string", "format": "date"}, "2030-01-02"),
        ({"type": "integer"}, 3),
        ({"type": "integer", "minimum": 10}, 11),
        ({"type": "integer", "minimum": 5, "maximum": 5}, 5),
        ({"type": "number", "maximum": 1}, 0),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "integer", "multipleOf": 5}, 5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 3),
        ({"type": "array", "items": {"type": "integer"}}, [3]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [3, 3]),
        ({"enum": ["red", "blue"]}, "red"),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 3),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
         {"a": 1, "b": 2}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"const": "found"}}}, "found"),
        ({}, "Hi Bob"),
    ],
)  # fmt: skip
def test_a_value_fits_its_schema(schema, value):
    assert specimen(schema, "Hi Bob") == value


@pytest.mark.parametrize(
    ("prompt", "place"),
    [
        ("What is the weather in Paris?", "Paris"),
        ("what is the weather", "Oslo"),
        ("From Rome to Lima.", "Lima"),
    ],
)
def test_a_place_comes_from_the_prompt(prompt, place):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    assert specimen(schema, prompt) == {"city": place}


class Leg(BaseModel):
    mode: Literal["ship", "rail"]
    hours: float = Field(gt=0, lt=100)
    after: "Leg | None"


class Voyage(BaseModel):
    title: str
    legs: list[Leg] = Field(min_length=2)
    tags: list[str] | None = None


def test_a_recursive_model_is_filled_in_and_ends():
    voyage = Voyage.model_validate(specimen(Voyage.model_json_schema(), "Plan a voyage"))
    assert len(voyage.legs) == 2


def test_what_requires_itself_ends_too():
    schema = {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]}
    depth, value = 0, specimen(schema, "")
    while value is not None:
        depth, value = depth + 1, value["self"]
    assert depth <= 2 * DEEPEST


@pytest.mark.parametrize("schema", [{"type": "object", "properties": [1]}, {"anyOf": [1]}])
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(RefusedError, match="Invalid schema"):
        specimen(schema, "")
