"""Known models are offered, suggested and chosen by operation."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import catalog, routing
from broker.catalog import models_dev
from broker.catalog.names import Namer
from broker.catalog.priced import list_priced_slugs
from broker.catalog.vendor_facts import _load_retirements, find_interface, find_retirement
from broker.errors import NoEndpointError, UnknownModelError
from broker.providers.configuration import Provider
from broker.providers.vendors import vendors
from broker.requests import operations
from broker.requests.operations import Interface, Operation, gives
from broker.routing import RoutingContext, RoutingRequest
from broker.routing.requirements import find_requirements as requirements_in
from broker.settings import ModelRow, Settings
from broker.settings.rows import InterfaceName

NOW = datetime(2026, 11, 25, tzinfo=UTC)
IMPORT = Path(__file__).parents[4] / "shared" / "catalog" / "models_dev.json"


def configured(*slugs):
    return {
        slug: Provider(slug, vendor.name, vendor.wire, vendor.base_url, vendor=vendor)
        for slug, vendor in vendors().items()
        if slug in slugs or not slugs
    }


def load(*slugs, models=(), applied=(), now=NOW):
    settings = Settings.model_construct(models=[ModelRow(**row) for row in models], providers=[])
    return catalog.load(settings, configured(*slugs), applied, now=now)


@pytest.fixture(scope="module")
def everywhere():
    """The catalog of an installation with a key of every vendor."""
    return load()


@pytest.fixture(scope="module")
def openai():
    return load("openai")


BEHIND_RESPONSES = (
    *("o1-pro", "o3-pro", "gpt-5-pro", "gpt-5.2-pro", "gpt-5.4-pro", "gpt-5.5-pro"),
    *("gpt-5-pro-2025-10-06", "gpt-5-codex", "gpt-5.1-codex-max", "gpt-5.3-codex", "codex-mini"),
    *("o3-deep-research", "o4-mini-deep-research-2025-06-26", "computer-use-preview"),
    *("gpt-5-image", "gpt-5.4-image-2"),
)


@pytest.mark.parametrize("native", BEHIND_RESPONSES)
@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_models_behind_the_responses_api_are_known(provider, native):
    assert find_interface(provider, native) is Interface.RESPONSES


@pytest.mark.parametrize("native", ["gpt-5", "gpt-4o", "gpt-6-sol", "o3", "gpt-audio"])
def test_other_models_are_served_as_usual(native):
    assert find_interface("openai", native) is None


def test_what_only_the_responses_api_serves_is_offered_where_the_wire_speaks_it(
    openai, monkeypatch
):
    behind = [
        slug
        for slug, model in openai.all_models.items()
        for each in model.endpoints
        if each.provider == "openai" and each.interface is Interface.RESPONSES
    ]
    assert {"openai/gpt-5-pro", "openai/o3-pro", "openai/gpt-5.3-codex"} <= set(behind)
    current = {slug for slug in behind if not openai.all_models[slug].endpoints[0].retired}
    assert current
    assert current <= set(openai.models)
    for slug in current:
        assert openai.endpoints([slug])[slug]
    # Given a wire that does not speak it: they are nowhere, and nothing else changes
    monkeypatch.setattr(operations, "EXTRA_INTERFACES", {})
    without = load("openai")
    assert set(openai.models) - set(without.models) == current
    for slug in behind:
        with pytest.raises(UnknownModelError, match="Responses API") as refusal:
            without.endpoints([slug])
        assert refusal.value.status == 404
    with pytest.raises(UnknownModelError) as refusal:
        without.endpoints(["openai/gpt-5-prx"])
    assert "openai/gpt-5-pro" not in refusal.value.message


def test_a_model_behind_the_responses_api_serves_chats_alone_and_lacks_its_missing_parameters(
    openai,
):
    with pytest.raises(NoEndpointError):
        openai.endpoints(["openai/gpt-5-pro"], Operation.IMAGES)
    [endpoint] = openai.endpoints(["openai/gpt-5-pro"])["openai/gpt-5-pro"]
    assert endpoint.lacks(frozenset({"seed", "stop", "logit_bias"})) == {
        "seed",
        "stop",
        "logit_bias",
    }
    assert not endpoint.lacks(frozenset({"tools", "response_format", "reasoning", "max_tokens"}))
    assert not endpoint.batched
    assert endpoint.price.web_search


def test_names_of_another_vendors_image_tool_are_not_offered(openai):
    drawing = [openai.all_models[slug] for slug in ("openai/gpt-5-image", "openai/gpt-5.4-image-2")]
    assert not [each for model in drawing for each in model.endpoints if each.provider == "openai"]


def test_another_host_serves_such_a_model_by_chats():
    [endpoint] = load("openrouter").endpoints(["openai/gpt-5-pro"])["openai/gpt-5-pro"]
    assert endpoint.interface is Interface.PATHS


def test_waybill_toml_says_by_which_interface_a_model_is_served():
    row = {"slug": "openai/gpt-5-pro", "endpoints": [{"provider": "openai", "model": "gpt-5-pro"}]}

    def interface():
        [endpoint] = load("openai", models=[row]).models["openai/gpt-5-pro"].endpoints
        return endpoint.interface

    assert interface() is Interface.RESPONSES
    row["endpoints"][0]["interface"] = "paths"
    assert interface() is Interface.PATHS
    assert set(get_args(InterfaceName)) == set(Interface)


def test_no_offered_endpoint_is_retired_cut_off_or_out_of_reach(everywhere):
    wrong = [
        (each.provider, each.native)
        for model in everywhere.models.values()
        for each in model.endpoints
        if each.retired
        or (each.expires or "9999") <= NOW.date().isoformat()
        or not each.native[-1].isalnum()
        or (re.search(r":[a-z]+$", each.native) and each.provider != "openrouter")
        or each.interface is Interface.REALTIME
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "slug",
    [
        *("openai/ada", "openai/davinci", "openai/gpt-4-32k", "openai/o1-preview"),
        *("openai/gpt-4", "openai/gpt-4o-mini-2024-07-18.ft-", "openai/gpt-4o:extended"),
        *("openai/gpt-realtime", "openai/gpt-live-1", "openai/gpt-4o-realtime-preview"),
        *("openai/gpt-realtime-whisper", "google/gemini-3.8-live", "google/gemini-2.0-flash-001"),
        *("anthropic/claude-3-opus", "x-ai/grok-voice-latest"),
    ],
)
def test_these_are_not_offered_by_their_makers(slug):
    found = load("openai", "anthropic", "google-ai-studio", "xai")
    assert slug not in found.models


def test_retirements_are_dates_of_known_providers():
    for provider, tables in _load_retirements().items():
        assert provider in vendors()
        for _, days in tables:
            assert all(date.fromisoformat(day) and patterns for day, patterns in days.items())


def test_a_model_is_offered_until_the_day_it_is_retired():
    day = find_retirement("openai", "gpt-4o")
    eve = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(seconds=1)
    before, after = load("openai", now=eve), load("openai", now=eve + timedelta(seconds=2))
    # It is marked beforehand
    assert before.models["openai/gpt-4o"].expires == day
    assert not before.models["openai/gpt-4o"].retired
    # From then on it is known, but neither listed, nor suggested, nor chosen
    assert "openai/gpt-4o" not in after.models
    assert after.find("openai/gpt-4o").retired
    with pytest.raises(UnknownModelError) as refusal:
        after.endpoints(["openai/gpt-4oo"])
    assert "openai/gpt-4o," not in f"{refusal.value.message},"
    assert "openai/gpt-4o" not in after.endpoints(["waybill/auto"])
    # but the vendor decides about a call that names it
    [endpoint] = after.endpoints(["openai/gpt-4o"])["openai/gpt-4o"]
    assert endpoint.retired


def test_a_retired_endpoint_gives_way_to_one_that_is_not():
    at_both = load("openai", "azure", now=datetime(2026, 11, 1, tzinfo=UTC))
    slug = "openai/o4-mini"
    hosts = {each.provider: each.retired for each in at_both.all_models[slug].endpoints}
    assert hosts["openai"]
    assert not hosts["azure"]
    assert [each.provider for each in at_both.endpoints([slug])[slug]] == ["azure"]


def test_what_a_list_calls_deprecated_without_a_date_is_not_offered():
    found = load("cerebras")
    deprecated = [slug for slug, model in found.all_models.items() if model.retired]
    assert any(slug.startswith("meta-llama/llama-3.1") for slug in found.all_models)
    assert not set(deprecated) & set(found.models)


MEDIA = {
    "image": {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
    "audio": {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    "video": {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
}
DEMANDS = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
}
ROUTED = st.sampled_from(
    ["waybill/auto", "openrouter/auto", "openrouter/free", "waybill/pareto-code"]
)


def chat(model, media=(), **more):
    content = [{"type": "text", "text": "What is this?"}, *(MEDIA[each] for each in media)]
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


@given(ROUTED, st.sets(st.sampled_from([*MEDIA])), st.sets(st.sampled_from([*DEMANDS])))
def test_a_router_chooses_only_what_takes_the_request(everywhere, router, media, demands):
    body = chat(router, media, **{name: DEMANDS[name] for name in demands})
    requirements = requirements_in(body)
    served = everywhere.endpoints([router], requirements=requirements)
    try:
        plan = routing.plan(
            RoutingRequest([router], requirements),
            served,
            RoutingContext(seed=3, fits=catalog.load_task_fit()),
        )
    except NoEndpointError:
        return
    for place in plan.steps:
        endpoint, model = place.endpoint, everywhere.models[place.endpoint.model]
        assert media <= (endpoint.input_modalities or {"text"})
        assert media <= set(model.input_modalities)
        assert not endpoint.lacks(frozenset(demands))
        assert "text" in endpoint.output_modalities
        assert not endpoint.retired


@pytest.mark.parametrize("operation", list(Operation))
def test_a_router_chooses_among_models_that_serve_the_operation(everywhere, operation):
    try:
        found = everywhere.endpoints(["waybill/auto"], operation)
    except NoEndpointError:
        return
    assert all(gives(each.output_modalities, operation) for some in found.values() for each in some)


def test_a_drawing_model_is_chosen_where_an_image_is_asked_for(everywhere):
    requirements = requirements_in(chat("waybill/auto", modalities=["text", "image"]))
    served = everywhere.endpoints(["waybill/auto"], requirements=requirements)
    plan = routing.plan(
        RoutingRequest(["waybill/auto"], requirements), served, RoutingContext(seed=1)
    )
    assert all("image" in place.endpoint.output_modalities for place in plan.steps)


@pytest.mark.parametrize(
    "other",
    ["openai/whisper-1", "openai/tts-1", "openai/text-embedding-3-small", "openai/gpt-image-2"],
)
def test_a_fallback_that_gives_no_text_has_no_place_in_the_plan_of_a_chat(openai, other):
    body = chat("openai/gpt-4o", models=[other])
    requirements = requirements_in(body)
    served = openai.endpoints(["openai/gpt-4o", other], requirements=requirements)
    plan = routing.plan(RoutingRequest(["openai/gpt-4o", other], requirements), served)
    assert [place.endpoint.model for place in plan.steps] == ["openai/gpt-4o"]


def test_a_model_of_another_kind_is_refused_with_what_it_serves_and_others_that_do(openai):
    with pytest.raises(NoEndpointError) as refusal:
        openai.endpoints(["openai/whisper-1"], Operation.CHAT)
    assert Operation.TRANSCRIPTIONS.value in refusal.value.message
    with pytest.raises(NoEndpointError):
        openai.endpoints(["openai/tts-1"], Operation.EMBEDDINGS)


@pytest.mark.parametrize(
    ("operation", "name", "meant"),
    [
        (Operation.CHAT, "openai/gpt-4o-mni", "openai/gpt-4o-mini"),
        (Operation.EMBEDDINGS, "openai/text-embeding-3-smal", "openai/text-embedding-3-small"),
        (Operation.TRANSCRIPTIONS, "openai/gpt-4o-mini-transcrbe", "openai/gpt-4o-mini-transcribe"),
    ],
)
def test_suggestions_serve_the_operation(openai, operation, name, meant):
    with pytest.raises(UnknownModelError) as refusal:
        openai.endpoints([name], operation)
    hint = refusal.value.message.partition("Did you mean ")[2].partition("?")[0].split(", ")
    assert meant in hint
    assert set(hint) <= set(openai.endpoints(["waybill/auto"], operation))


@pytest.mark.parametrize("length", [257, 9_000_000])
def test_a_name_that_no_model_can_have_is_refused_before_any_search(openai, length, monkeypatch):
    def search(*_args, **_more):
        raise AssertionError("searched")

    monkeypatch.setattr("broker.catalog.names.difflib.get_close_matches", search)
    monkeypatch.setattr(Namer, "find", search)
    for name in (
        "x" * length,
        "~" + "x" * length,
        "ollama/" + "x" * length,
        "x" * length + ":free",
    ):
        for ask in (lambda name: openai.endpoints([name]), openai.find):
            with pytest.raises(UnknownModelError, match="characters") as refusal:
                ask(name)
            assert len(refusal.value.message) < 300


def latest(found, body):
    name = body["model"]
    [endpoint, *_] = found.endpoints([name], requirements=requirements_in(body))[name]
    return endpoint.model


def test_the_latest_of_a_family_takes_the_request():
    models = [
        {
            "slug": f"anthropic/claude-opus-{version}",
            "input_modalities": inputs,
            "supported_parameters": parameters,
            "endpoints": [{"provider": "openrouter", "model": version}],
        }
        for version, inputs, parameters in (
            ("97", ["text", "image"], ["tools"]),
            ("98", ["text", "image"], ["temperature"]),
            ("99", ["text"], ["temperature"]),
        )
    ]
    found = load("openrouter", models=models)
    name = "~anthropic/claude-opus-latest"
    assert latest(found, chat(name)) == "anthropic/claude-opus-99"
    assert latest(found, chat(name, ["image"])) == "anthropic/claude-opus-98"
    assert latest(found, chat(name, tools=DEMANDS["tools"])) == "anthropic/claude-opus-97"
    # and where none does, it is the newest that says why
    assert latest(found, chat(name, ["video"])) == "anthropic/claude-opus-99"


def test_the_latest_of_a_family_is_not_retired():
    found = load("google-ai-studio", now=datetime(2026, 4, 1, tzinfo=UTC))
    for family in ("gemini-pro", "gemini-flash"):
        name = f"~google/{family}-latest"
        assert not any(each.retired for each in found.endpoints([name])[name])


@pytest.mark.skipif(not IMPORT.exists(), reason="no import to try")
def test_an_import_fills_dates_and_parameters():
    listings = models_dev.read(json.loads(IMPORT.read_bytes()), Namer(list_priced_slugs()))
    offers = [each.offer for each in listings]
    found = load(applied=offers)
    imported = {offer.endpoint.model for offer in offers} & set(found.models)
    assert [slug for slug in imported if not found.models[slug].created] == []
    assert [slug for slug in imported if found.models[slug].supported_parameters is None] == []
    gone = {offer.key for offer in offers if offer.deprecated}
    offered = {each.key for model in found.models.values() for each in model.endpoints}
    assert gone
    assert not gone & offered


@pytest.mark.parametrize(
    ("slug", "day"),
    [("openai/gpt-4o-2024-05-13", "2024-05-13"), ("qwen/qwen-plus-2025-07-28", "2025-07-28")],
)
def test_a_name_that_holds_the_day_of_release_dates_its_model(everywhere, slug, day):
    released = datetime.fromtimestamp(everywhere.all_models[slug].created, UTC)
    assert released.date().isoformat() == day


def test_waybill_toml_dates_a_model():
    row = {"slug": "acme/a", "endpoints": [{"provider": "openai", "model": "m"}]}
    found = load("openai", models=[row | {"created": "2026-01-02"}])
    assert found.models["acme/a"].created == 1_767_312_000


def test_a_model_that_is_free_at_its_vendor_is_offered():
    found = load("openai")
    slug = "openai/omni-moderation-latest"
    [endpoint] = found.endpoints([slug], Operation.MODERATIONS)[slug]
    assert endpoint.price.is_free
    with pytest.raises(NoEndpointError, match="moderations"):
        found.endpoints([slug], Operation.CHAT)


def served_by(known, name, operation=Operation.IMAGES):
    return [(e.provider, e.model) for e in known.endpoints([name], operation)[name]]


PAINTS = {"output_modalities": ["image"], "endpoints": [{"provider": "openai", "model": "paint"}]}


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("openai/dall-e-3", "openai/gpt-image-2.5-sunburst"),
        ("dall-e-3", "openai/gpt-image-2.5-sunburst"),
        ("openai/gpt-image-1", "openai/gpt-image-2.5-sunburst"),
        ("openai/dall-e-2", "openai/gpt-image-2.5-flare"),
    ],
)
def test_a_model_that_was_shut_down_is_replaced_by_its_documented_successor(name, successor):
    rows = [{"slug": each, **PAINTS} for each in ("openai/gpt-image-2.5-flare", successor)]
    assert served_by(load("openai", models=rows), name) == [("openai", successor)]


def test_a_model_that_is_still_served_has_no_successor():
    rows = [{"slug": slug, **PAINTS} for slug in ("openai/dall-e-3", "openai/gpt-image-2.5-flare")]
    assert served_by(load("openai", models=rows), "openai/dall-e-3") == [
        ("openai", "openai/dall-e-3")
    ]


@pytest.mark.parametrize("name", ["openai/dall-e-1", "acme/no-such-model"])
def test_a_model_without_a_successor_is_refused_with_those_that_make_images(name):
    known = load("openrouter", models=[{**PAINTS, "slug": "acme/paint", "endpoints": [
        {"provider": "openrouter", "model": "paint"}]}])  # fmt: skip
    with pytest.raises(UnknownModelError, match=r"Models that make images here: .*acme/paint"):
        known.endpoints([name], Operation.IMAGES)
