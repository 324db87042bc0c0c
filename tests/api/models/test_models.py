"""GET /models and its kin, read back with the types of the OpenRouter SDK."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import openai
import pytest
from openrouter.components import ListEndpointsResponse, Model, ModelsListResponse
from openrouter.operations import ListEndpointsZdrResponse, ListProvidersResponse
from starlette.testclient import TestClient

from api.app import create_app
from broker import catalog
from broker.accounts import Principal
from broker.errors import AuthenticationError
from broker.providers import configuration
from broker.providers.configuration import Provider
from broker.providers.endpoint_stats import Circuit, EndpointStats, Percentiles, Snapshot
from broker.settings import ModelRow, Settings

LIT = ("openai", "groq", "anthropic", "deepseek")
SPREAD = Percentiles(0.25, 0.5, 0.75, 1.0)
SNAPSHOT = Snapshot(
    {
        ("groq", "openai/gpt-oss-120b"): EndpointStats(
            uptime_5m=1.0, uptime_30m=0.975, uptime_1d=0.9, latency_30m=SPREAD,
            throughput_30m=Percentiles(400, 450, 500, 550), circuit=Circuit.HALF_OPEN,
        )
    }
)  # fmt: skip
OWN = ModelRow(
    slug="acme/small",
    context_length=4_000,
    endpoints=[{"provider": "upstream", "model": "s", "prompt": "0.01", "completion": "0.02"}],
)


class Keyring:
    """Knows one key, which may use few models."""

    async def principal(self, request):
        if "authorization" not in request.headers:
            raise AuthenticationError("No API key.")
        return Principal("ws", "key", unlimited=True, allowed_models=("openai/gpt-4*",))


class Pauses:
    """A database in which an operator has paused one provider."""

    async def read(self, query):
        return [SimpleNamespace(provider="upstream")]


@pytest.fixture(scope="module")
def api():
    lit = {slug: vendor_of(slug) for slug in LIT}
    lit["upstream"] = Provider("upstream", "Upstream", "openai", "http://u")
    settings = Settings.model_construct(models=[OWN], providers=[])
    app = create_app(settings)
    app.state.services = SimpleNamespace(
        catalog=catalog.load(settings, lit, now=datetime(2026, 11, 25, tzinfo=UTC)),
        observer=SimpleNamespace(snapshot=SNAPSHOT),
        keyring=Keyring(),
        database=Pauses(),
        credentials=SimpleNamespace(with_credentials=lambda caller: caller),  # nobody brought a key
    )
    return TestClient(app, base_url="http://test")  # not entered: nothing is connected


def vendor_of(slug):
    vendor = configuration.vendors()[slug]
    return Provider(slug, vendor.name, vendor.wire, vendor.base_url, vendor=vendor)


def get(api, path, **query):
    answer = api.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(api, path="/models", **query):
    return [model["id"] for model in get(api, path, **query)["data"]]


def test_every_model_is_one_to_the_sdk(api):
    body = get(api, "/models", all="true", output_modalities="all")
    listed = ModelsListResponse.model_validate(body)
    assert listed.total_count == len(listed.data) >= 400
    assert [model.id for model in listed.data] == sorted(model.id for model in listed.data)


def test_only_what_the_configured_providers_serve_is_listed(api):
    mine, everything = get(api, "/models"), get(api, "/models", all="true")
    assert all(model["available"] for model in mine["data"])
    shown = {model["id"]: model["available"] for model in everything["data"]}
    assert {slug for slug, available in shown.items() if available} == set(ids(api))
    assert shown["google/gemini-2.5-pro"] is False
    assert shown["acme/small"] is True


def test_it_is_text_models_unless_asked_otherwise(api):
    assert "openai/text-embedding-3-small" not in ids(api)
    embeddings = ids(api, "/embeddings/models")
    assert "openai/text-embedding-3-small" in embeddings
    assert "openai/gpt-4o" not in embeddings
    assert set(ids(api, output_modalities="embeddings")) == set(embeddings)


@pytest.mark.parametrize(
    ("query", "kept", "left_out"),
    [
        ({"q": "GPT-4o"}, "openai/gpt-4o", "openai/gpt-5"),
        ({"model_authors": "openai, anthropic"}, "openai/gpt-4o", "deepseek/deepseek-v4-pro"),
        ({"providers": "groq"}, "openai/gpt-oss-120b", "openai/gpt-4o"),
        ({"providers": "DeepSeek"}, "deepseek/deepseek-v4-pro", "openai/gpt-4o"),
        ({"input_modalities": "image,file"}, "openai/gpt-4o", "openai/gpt-3.5-turbo"),
        ({"supported_parameters": "reasoning"}, "openai/gpt-5", "openai/gpt-4o"),
        ({"context": 1_000_000}, "openai/gpt-4.1", "openai/gpt-4o"),
        ({"max_price": 0.5}, "openai/gpt-4o-mini", "openai/gpt-4o"),
        ({"min_price": 2}, "openai/gpt-4o", "openai/gpt-4o-mini"),
        ({"max_output_price": 1}, "openai/gpt-4o-mini", "openai/gpt-4o"),
        ({"zdr": "true"}, "openai/gpt-oss-120b", "openai/gpt-4o"),
        ({"arch": "claude"}, "anthropic/claude-opus-4.5", "openai/gpt-4o"),
        ({"category": "programming"}, "anthropic/claude-opus-4.5", "openai/gpt-4o-mini"),
    ],
)
def test_filters(api, query, kept, left_out):
    found = ids(api, **query)
    assert kept in found
    assert left_out not in found
    assert get(api, "/models/count", **query) == {"data": {"count": len(found)}}


def prices(api, sort):
    listed = get(api, "/models", sort=sort)["data"]
    both = [(m["pricing"]["prompt"], m["pricing"]["completion"]) for m in listed]
    return [Decimal(prompt) + Decimal(completion) for prompt, completion in both]


def test_sorts(api):
    assert prices(api, "pricing-low-to-high") == sorted(prices(api, "pricing-low-to-high"))
    assert prices(api, "pricing-high-to-low")[0] == max(prices(api, "pricing-low-to-high"))
    assert ids(api, sort="throughput-high-to-low")[0] == "openai/gpt-oss-120b"
    assert ids(api, sort="latency-low-to-high")[0] == "openai/gpt-oss-120b"
    contexts = [
        m["context_length"] for m in get(api, "/models", sort="context-high-to-low")["data"]
    ]
    known = [context or 0 for context in contexts]
    assert known == sorted(known, reverse=True)
    best = ids(api, sort="coding-high-to-low")
    assert best.index("anthropic/claude-opus-4.5") < best.index("openai/gpt-4o-mini")


def test_pages_fit_together(api):
    whole = ids(api)
    first = get(api, "/models", limit=7)
    assert [model["id"] for model in first["data"]] == whole[:7]
    assert first["total_count"] == len(whole)
    after = api.get(first["links"]["next"]).json()
    assert [model["id"] for model in after["data"]] == whole[7:14]
    last = get(api, "/models", limit=1000, offset=3)
    assert (len(last["data"]), last["links"]["next"]) == (len(whole) - 3, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"sort": "best"}, "best"),
        ({"category": "golf"}, "golf"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"max_price": "cheap"}, "max_price"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_named(api, query, field):
    answer = api.get("/api/v1/models", params=query)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["message"]


def test_one_model_by_any_of_its_names(api):
    body = get(api, "/model/openai/gpt-4o-2024-08-06")["data"]
    assert Model.model_validate(body).id == "openai/gpt-4o"
    assert body["alias_target"]["slug"] == "openai/gpt-4o"
    assert "alias_target" not in get(api, "/model/openai/gpt-4o")["data"]
    assert get(api, "/model/~openai/gpt-mini-latest")["data"]["id"].endswith("-mini")
    missing = api.get("/api/v1/model/openai/gpt-4oo")
    assert missing.status_code == 404
    assert "openai/gpt-4o" in missing.json()["error"]["message"]


def test_a_listed_model_is_one_to_both_sdks(api):
    body = get(api, "/models/openai/gpt-4o")
    assert Model.model_validate(body["data"]).id == "openai/gpt-4o"
    theirs = openai.types.Model.model_validate(body, strict=True)
    assert (theirs.id, theirs.object, theirs.owned_by) == ("openai/gpt-4o", "model", "openai")
    assert get(api, "/models/gpt-4o")["id"] == "openai/gpt-4o"
    assert get(api, "/models/openai%2Fgpt-4o")["id"] == "openai/gpt-4o"


@pytest.mark.parametrize("path", ["/model/{}", "/models/{}", "/models/{}/endpoints"])
@pytest.mark.parametrize("suffix", ["nitro", "floor", "exacto", "free"])
def test_a_variant_is_shown_as_its_model(api, path, suffix):
    body = get(api, path.format(f"openai/gpt-4o:{suffix}"))["data"]
    assert body["id"] == "openai/gpt-4o"
    if path.endswith("endpoints"):
        assert bool(body["endpoints"]) is (suffix != "free")  # none of them costs nothing


@pytest.mark.parametrize("path", ["/model/{}", "/models/{}", "/models/{}/endpoints"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("openai/gpt-4oo", "Did you mean openai/gpt-4o"),
        ("openai/gpt-4oo:nitro", "Did you mean"),
        ("x/" + "y" * 5_000, "5,002 characters"),
    ],
)
def test_an_unknown_model_is_answered_with_names_that_are_near(api, path, name, hint):
    answer = api.get("/api/v1" + path.format(name))
    assert answer.status_code == 404
    assert hint in answer.json()["error"]["message"]
    assert len(answer.text) < 500


def test_a_retired_model_is_marked_and_shown_only_among_all(api):
    assert "openai/gpt-4" not in ids(api)
    [shown] = [m for m in get(api, "/models", all="true")["data"] if m["id"] == "openai/gpt-4"]
    assert (shown["expiration_date"], shown["available"]) == ("2026-10-23", False)
    coming = get(api, "/model/openai/gpt-5")["data"]
    assert (coming["expiration_date"], coming["available"]) == ("2026-12-11", True)


def test_endpoints_show_prices_policy_and_the_last_half_hour(api):
    body = get(api, "/models/openai/gpt-oss-120b/endpoints")["data"]
    listed = ListEndpointsResponse.model_validate(body)
    [groq] = [each for each in listed.endpoints if each.tag == "groq"]
    assert (groq.provider_name, groq.status) == ("Groq", -1)
    assert (groq.uptime_last_30m, groq.uptime_last_1d) == (97.5, 90)
    assert (groq.latency_last_30m.p50, groq.throughput_last_30m.p50) == (250, 400)
    assert float(groq.pricing.prompt) > 0
    [shown] = [each for each in body["endpoints"] if each["tag"] == "groq"]
    assert shown["data_policy"] == {"trains": False, "retention_days": 0, "zdr": True}
    everywhere = get(api, "/models/openai/gpt-oss-120b/endpoints", all="true")["data"]
    assert len(everywhere["endpoints"]) > len(body["endpoints"])
    assert {each["tag"] for each in everywhere["endpoints"] if each["available"]} == {
        each["tag"] for each in body["endpoints"]
    }


def test_a_tier_is_an_override(api):
    [endpoint] = get(api, "/models/openai/gpt-5.5/endpoints")["data"]["endpoints"]
    [override] = endpoint["pricing"]["overrides"]
    assert float(override["prompt"]) > float(endpoint["pricing"]["prompt"])


def test_endpoints_that_keep_nothing(api):
    listed = ListEndpointsZdrResponse.model_validate(get(api, "/endpoints/zdr"))
    assert {each.tag for each in listed.data} == {"groq"}


def test_providers(api):
    mine = ListProvidersResponse.model_validate(get(api, "/providers")).data
    assert sorted(each.slug for each in mine) == sorted([*LIT, "upstream"])
    everybody = get(api, "/providers", all="true")["data"]
    assert len(everybody) >= 60
    shown = {each["slug"]: each for each in everybody}
    assert shown["groq"]["terms_of_service_url"].startswith("https://")
    assert (shown["groq"]["available"], shown["mistral"]["available"]) == (True, False)
    assert (shown["groq"]["paused"], shown["upstream"]["paused"]) == (False, True)


def test_a_key_sees_what_it_may_use(api):
    answer = api.get("/api/v1/models/user", headers={"authorization": "Bearer k"})
    found = {model["id"] for model in answer.json()["data"]}
    assert "openai/gpt-4o" in found
    assert all(slug.startswith("openai/gpt-4") for slug in found)
    assert api.get("/api/v1/models/user").status_code == 401


@pytest.mark.parametrize(
    ("slug", "served", "not_served"),
    [
        (
            "anthropic/claude-sonnet-4.5",
            {"/v1/chat/completions", "/v1/responses", "/v1/messages"},
            {"/v1/completions", "/v1/embeddings"},
        ),
        ("openai/text-embedding-3-small", {"/v1/embeddings"}, {"/v1/responses", "/v1/messages"}),
        ("openai/omni-moderation-latest", {"/v1/moderations"}, {"/v1/chat/completions"}),
    ],
)
def test_a_model_names_the_paths_at_which_it_can_be_called(api, slug, served, not_served):
    paths = set(api.get(f"/api/v1/model/{slug}").json()["data"]["supported_endpoints"])
    assert served <= paths
    assert not paths & not_served
