"""The options of known image models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.requests.image_models import (
    FAMILIES,
    PICTURE_FIELDS,
    compute_pixels,
    find_image_model,
    find_ratio,
    read_pixels,
    read_ratio,
    select_picture_options,
)

URL = "https://example.org/a.png"
TAKEN = [
    ("openai/gpt-image-1.5", {"size": "1536x1024", "quality": "high", "background": "transparent"}),
    ("openai/gpt-image-1.5", {"size": "auto", "quality": "auto", "n": 10}),
    ("openai/gpt-image-2", {"size": "1536x864"}),
    ("openai/gpt-image-2", {"size": "4K", "aspect_ratio": "16:9"}),
    ("openai/gpt-image-2.5-flare", {"quality": "max"}),
    ("google/gemini-2.5-flash-image", {"size": "1536x1024", "quality": "high"}),
    ("google/gemini-3-pro-image", {"resolution": "4K", "aspect_ratio": "21:9"}),
    ("google/imagen-4.0-generate-001", {"size": "1792x1024", "n": 4}),
    ("google/imagen-4.0-generate-001", {"background": "opaque"}),
    ("acme/unknown", {"size": "3x3", "mask": {"image_url": URL}}),
]
REFUSED = [
    ("openai/gpt-image-1.5", {"size": "1000x1000"}, "size", "1024x1024, 1536x1024"),
    ("openai/gpt-image-1.5", {"size": "big"}, "size", "takes"),
    ("openai/gpt-image-1.5", {"quality": "max"}, "quality", "low, medium, high"),
    ("openai/gpt-image-1.5", {"output_format": "svg"}, "output_format", "png"),
    ("openai/gpt-image-2", {"size": "1000x1000"}, "size", "steps of 16"),
    ("openai/gpt-image-2", {"size": "4000x1024"}, "size", "at most 3840"),
    ("openai/gpt-image-2", {"aspect_ratio": "9:1"}, "aspect_ratio", "3:1"),
    ("google/gemini-2.5-flash-image", {"size": "1000x100"}, "size", "1:1, 2:3"),
    ("google/gemini-2.5-flash-image", {"resolution": "4K"}, "resolution", "does not take it"),
    ("google/gemini-2.5-flash-image", {"mask": {"image_url": URL}}, "mask", "no mask"),
    ("google/gemini-2.5-flash-image", {"background": "transparent"}, "background", "not take"),
    ("google/imagen-4.0-generate-001", {"n": 5}, "n", "at most 4"),
    ("google/imagen-4.0-generate-001", {"images": [{"image_url": URL}]}, "images", "no pictures"),
    ("stability/sd3.5-large", {"images": [{"image_url": URL}] * 2}, "images", "at most 1"),
]


def problems(slug, body):
    model = find_image_model(slug)
    options = select_picture_options(body)
    found = {name: model.find_problem(name, options) for name in options} if model else {}
    return {name: problem for name, problem in found.items() if problem}


@pytest.mark.parametrize(("slug", "body"), TAKEN)
def test_an_option_that_a_model_has_is_taken(slug, body):
    assert problems(slug, body) == {}


@pytest.mark.parametrize(("slug", "body", "field", "told"), REFUSED)
def test_another_option_is_named_with_what_the_model_takes(slug, body, field, told):
    found = problems(slug, body)
    assert [*found] == [field]
    assert told in found[field]


def test_a_chat_has_no_options_of_pictures():
    assert select_picture_options({"messages": [], "n": 2, "size": "1x1"}) == {}


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_family_states_is_what_it_takes(name):
    model = FAMILIES[name]
    for field, described in model.describe_options().items():
        if described["type"] == "enum":
            assert field in PICTURE_FIELDS
            for value in described["values"]:
                assert model.find_problem(field, {field: value}) is None


@given(
    st.sampled_from(["1:1", "16:9", "9:16", "3:2", "21:9", "1:3"]),
    st.sampled_from([None, "512", "1K", "2K", "4K"]),
)
def test_a_computed_size_is_taken_and_has_the_ratio(ratio, tier):
    size = compute_pixels(ratio, tier, 16, 3840)
    width, height = read_pixels(size)
    assert width % 16 == height % 16 == 0
    assert max(width, height) <= 3840
    assert abs(width / height / read_ratio(ratio) - 1) < 0.05
    assert find_ratio(width, height, ("1:7",)) is None
