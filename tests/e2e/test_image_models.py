"""Options of image models: listed, checked before the call, and translated for the vendor."""

from typing import Any

import openrouter
import pytest

from tests.installation import KEY, Installation

PROMPT = "A red square"


def draw(wires: Installation, model: str, **options: Any) -> Any:
    return wires.http.post("/images", json={"model": model, "prompt": PROMPT, **options})


@pytest.mark.parametrize(
    ("model", "options", "named"),
    [
        ("openai/gpt-image-2", {"size": "1000x1000"}, "size"),
        ("openai/gpt-image-2", {"quality": "max"}, "quality"),
        ("openai/gpt-image-2", {"output_format": "svg"}, "output_format"),
        ("gemini/imagen-4.0", {"n": 5}, "n"),
        ("gemini/imagen-4.0", {"size": "1000x100"}, "size"),
        ("gemini/imagen-4.0", {"background": "transparent"}, "background"),
    ],
)
def test_an_option_that_no_endpoint_takes_is_refused_by_name(
    wires: Installation, model: str, options: dict[str, Any], named: str
) -> None:
    before = wires.calls()["total"]
    answer = draw(wires, model, **options)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["message"].startswith(f"{named}: {model} ")
    assert error["param"] == named
    assert wires.calls()["total"] == before


def test_another_model_that_takes_the_option_is_used(wires: Installation) -> None:
    answer = draw(
        *(wires, "gemini/imagen-4.0"), models=["openai/gpt-image-2"], background="transparent"
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "openai/gpt-image-2"


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"aspect_ratio": "3:2"}, "1248x832"),
        ({"aspect_ratio": "16:9", "resolution": "2K"}, "2736x1536"),
        ({"size": "2K"}, "2048x2048"),
        ({"size": "1536x864"}, "1536x864"),
    ],
)
def test_a_ratio_and_a_tier_become_a_size(
    wires: Installation, options: dict[str, Any], size: str
) -> None:
    answer = draw(wires, "openai/gpt-image-2", **options)
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == size


@pytest.mark.parametrize(
    ("options", "dollars"),
    [
        ({}, 0.04),
        ({"quality": "low"}, 0.04),
        ({"quality": "high"}, 0.1),
        ({"quality": "high", "size": "1024x1024", "n": 2}, 0.4),
    ],
)
def test_a_picture_costs_what_its_quality_and_size_cost(
    wires: Installation, options: dict[str, Any], dollars: float
) -> None:
    answer = draw(wires, "openai/gpt-image-2", **options)
    assert answer.json()["usage"]["cost"] == pytest.approx(dollars)
    job_id = answer.headers["x-job-id"]
    [[held]] = wires.ask("SELECT hold_nanos FROM jobs WHERE id = ?", job_id)
    assert held / 1e9 >= dollars - 1e-9


def test_the_models_are_listed_with_their_options(wires: Installation) -> None:
    with openrouter.OpenRouter(api_key=KEY, server_url=wires.url) as client:
        listed = {each.id: each for each in client.images.list_models().data}
        found = client.images.list_model_endpoints(author="openai", slug="gpt-image-2")
    model = listed["openai/gpt-image-2"]
    assert model.supports_streaming
    assert model.supported_parameters["quality"].values == ["low", "medium", "high", "auto"]
    assert (model.supported_parameters["n"].min, model.supported_parameters["n"].max) == (1, 10)
    assert not listed["bfl/sim"].supports_streaming
    assert "openai/sim-echo" not in listed
    [endpoint] = found.endpoints
    assert (endpoint.provider_slug, endpoint.supports_streaming) == ("openai", True)
    assert {(each.billable, each.unit) for each in endpoint.pricing} == {("output_image", "image")}
    assert {each.variant: each.cost_usd for each in endpoint.pricing} == {
        None: 0.04, "high-1024x1024": 0.2, "high": 0.1,
    }  # fmt: skip


def test_a_model_without_images_is_not_among_them(wires: Installation) -> None:
    answer = wires.http.get("/images/models/openai/sim-echo/endpoints")
    assert answer.status_code == 404
    assert "makes no images" in answer.json()["error"]["message"]
