import sys

import pytest

from broker import routing
from broker.errors import InvalidRequestError, ModalityError, NoEndpointError
from broker.providers.endpoints import Endpoint
from broker.requests.plugins import Engine, FileParser, read_file_parser
from broker.routing import Requirements, RoutingRequest, requirements

PDF_DATA = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,A"},
}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
SHEET = {"type": "file", "file": {"filename": "a.xlsx", "file_data": "https://example.com/a.xlsx"}}


def body(*parts, **more):
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}],
        **more,
    }


def file(**held):
    return {"type": "file", "file": held}


def document(**source):
    return {"type": "document", "source": source}


@pytest.mark.parametrize(
    ("part", "need"),
    [
        (IMAGE, "image"),
        ({"type": "image", "source": {"type": "url", "url": "https://a/b"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "audio"),
        ({"type": "video_url", "video_url": {"url": "https://a/b"}}, "video"),
        (PDF_DATA, None),
        (file(file_data="https://example.com/download?id=7"), None),  # it may be a PDF
        (file(file_data="JVBERi0="), None),
        (file(file_data="data:text/csv,a"), None),
        (file(file_data="data:,a"), None),
        (file(file_data="data:image/png;base64,A"), None),  # the picture of a page
        (file(file_data="data:audio/mpeg;base64,A"), "audio"),
        (SHEET, None),
        (file(file_data="UEs=", filename="a.docx"), None),
        (file(file_id="file-123"), "file"),
        (file(), None),
        (document(type="base64", media_type="application/pdf", data="A"), None),
        (document(type="url", url="https://example.com/a.pdf"), None),
        (document(type="text", media_type="text/plain", data="A"), None),
        (document(type="file", file_id="f"), "file"),
        ({"type": "document", "document": {"data": "Cohere's"}}, None),
        ({"type": "text", "text": "a"}, None),
        ({"type": "unheard-of"}, None),
        ({"type": ["odd"]}, None),
    ],
)
def test_what_a_part_needs(part, need):
    if isinstance(part["type"], list):
        part = {"type": "file", "file": ["odd"]}
    assert requirements.find_modalities(body(part)) == ({need} if need else set())


@pytest.mark.parametrize(
    "odd",
    [{}, {"messages": None}, {"messages": "a"}, {"messages": ["a", None, {"content": None}]},
     {"messages": [{"content": ["a", None]}]}, {"input": "an embedding"},
     body(file(file_data="http://[odd")), body(file(file_data=7, filename=7))],
)  # fmt: skip
def test_odd_bodies_need_nothing(odd):
    assert requirements.find_modalities(odd) == set()


def test_needs_add_up():
    assert requirements.find_modalities(body(IMAGE, file(file_id="f"), PDF_DATA)) == {
        "image",
        "file",
    }


@pytest.mark.parametrize(
    ("plugin", "need"),
    [
        ({"pdf": {"engine": "native"}}, {"file"}),
        ({"enabled": False}, {"file"}),
        ({"pdf": {"engine": "pdf-text"}}, set()),
        ({"pdf": {"engine": "mistral-ocr"}}, set()),
        ({}, set()),
    ],
)
def test_the_plugin_may_forbid_extraction(plugin, need):
    asked = body(PDF_DATA, plugins=[{"id": "file-parser", **plugin}])
    assert requirements.find_modalities(asked) == need


def test_an_engine_there_is_not_is_refused_and_the_engines_named():
    with pytest.raises(InvalidRequestError, match="pdf-text") as refusal:
        read_file_parser([{"id": "file-parser", "pdf": {"engine": "magic"}}])
    assert refusal.value.param == "plugins"


@pytest.mark.parametrize("plugins", [None, [], "odd", [None], [{"id": "web"}]])
def test_no_plugin_means_the_defaults(plugins):
    assert read_file_parser(plugins) == FileParser()


def test_the_plugins_settings():
    assert read_file_parser([{"id": "file-parser", "pdf": {"engine": "native"}}]) == FileParser(
        Engine.NATIVE
    )


def endpoint(provider, modalities, model="a/one"):
    known = None if modalities is None else frozenset(modalities)
    return Endpoint(provider=provider, model=model, native="n", input_modalities=known)


def plan(models, served, *modalities):
    return routing.plan(
        RoutingRequest(models, Requirements(modalities=frozenset(modalities))), served
    )


def test_endpoints_that_cannot_take_it_are_left_out():
    served = {
        "a/one": [
            endpoint("blind", {"text"}),
            endpoint("sees", {"text", "image"}),
            endpoint("unknown", None),
        ]
    }
    seeing = plan(["a/one"], served, "image")
    assert {place.endpoint.provider for place in seeing.steps} == {"sees", "unknown"}
    assert [(each.provider, each.code) for each in seeing.excluded] == [("blind", "modality")]
    assert len(plan(["a/one"], served)) == 3


def test_a_fallback_model_may_take_it():
    served = {"a/one": [endpoint("x", {"text"})], "b/two": [endpoint("y", {"image"}, "b/two")]}
    seeing = plan(["a/one", "b/two"], served, "image")
    assert [place.endpoint.model for place in seeing.steps] == ["b/two"]


def test_when_none_can_the_error_says_what_and_who_could():
    served = {"a/one": [endpoint("x", {"text"})]}
    with pytest.raises(ModalityError) as refusal:
        plan(["a/one"], served, "image", "audio")
    error = refusal.value.with_alternatives(["b/two", "c/three"])
    assert error.status == 404
    assert "audio and image" in error.message
    assert "b/two, c/three" in error.message
    assert error.metadata["availability"]["code"] == "constraint_filtered"
    assert error.metadata["availability"]["fallback_models"] == ["b/two", "c/three"]
    assert "No configured model" in refusal.value.with_alternatives([]).message


def test_a_model_nobody_serves_is_another_error():
    with pytest.raises(NoEndpointError) as refusal:
        plan(["a/one"], {"a/one": []}, "image")
    assert not isinstance(refusal.value, ModalityError)


def test_a_stored_plan_remembers_modalities():
    served = {"a/one": [endpoint("x", {"text", "image"}), endpoint("y", None)]}
    planned = plan(["a/one"], served)
    assert routing.decode_plan(routing.encode_plan(planned)) == planned


@pytest.mark.parametrize(
    ("body", "must"),
    [
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"web_search_options": {}}, {"web_search_options"}),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, set()),
        ({"response_format": {"type": "json_object"}}, {"response_format"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "b64_json"}, set()),
        ({"seed": 1}, set()),
    ],
)
def test_what_the_answer_would_be_another_one_without(body, must):
    assert requirements.find_requirements(body).must == must


def test_how_large_a_request_is():
    asked = requirements.find_requirements(
        {"messages": [{"role": "user", "content": "x" * 4_000}], "max_tokens": 70}
    )
    assert asked.input_tokens == pytest.approx(1_000, rel=0.01)
    assert asked.output_tokens == 70
    assert requirements.find_requirements({"modalities": ["text", "image"]}).outputs == {"image"}


@pytest.mark.parametrize(
    ("asked", "context"),
    [
        ({}, 8_192),
        ({"plugins": [{"id": "context-compression"}]}, sys.maxsize),
        ({"transforms": ["middle-out"]}, sys.maxsize),
        ({"plugins": [{"id": "context-compression", "enabled": False}]}, 0),
    ],
)
def test_which_contexts_a_prompt_is_made_to_fit(asked, context):
    assert requirements.find_requirements(asked).shortened_up_to == context
