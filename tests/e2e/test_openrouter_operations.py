"""Every operation of the `openrouter` SDK that exists here, through the SDK's own types."""

import base64
import importlib
import inspect
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from openrouter import OpenRouter, components
from openrouter.errors import BadRequestResponseError

from broker import accounts
from broker.storage.database import Database
from tests.e2e.conftest import WAV
from tests.installation import KEY, Installation, until
from tests.stacks import any_stack

pytestmark = any_stack

HELLO = [{"role": "user", "content": "one two three"}]
AUDIO = {"data": base64.b64encode(WAV).decode(), "format": "wav"}
DOCUMENTS = ["a dog", "a red fox", "red"]
MODEL = {"author": "openai", "slug": "sim-echo"}


class Clients(NamedTuple):
    """The SDK with an inference key, and with a management key."""

    calls: OpenRouter
    admin: OpenRouter


@pytest.fixture(scope="module")
def sdks(wires: Installation) -> Iterator[Clients]:
    database = Database(wires.stack.database_url)
    with database.transaction() as connection:
        office = accounts.create_workspace(connection, "sdk", unlimited=True)
        key = accounts.create_key(connection, office, "sdk").key
        management = accounts.create_key(
            connection, office, "sdk", kind="management", everywhere=True
        ).key
    database.close()
    with (
        OpenRouter(api_key=key, server_url=wires.url) as calls,
        OpenRouter(api_key=management, server_url=wires.url) as admin,
    ):
        yield Clients(calls, admin)


Check = Callable[[Clients], None]
CHECKS: dict[tuple[str, str], Check] = {}


def operation(*names: str) -> Callable[[Check], Check]:
    """Register the check of operations, each named `METHOD /path`."""

    def register(check: Check) -> Check:
        for name in names:
            method, _, path = name.partition(" ")
            CHECKS[method, _anonymous(path)] = check
        return check

    return register


def _anonymous(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@operation("POST /chat/completions")
def chats(sdks: Clients) -> None:
    answer = sdks.calls.chat.send(model="openai/sim-echo", messages=HELLO)
    assert isinstance(answer, components.ChatResult)
    assert answer.choices[0].message.content == "one two three"
    with sdks.calls.chat.send(model="openai/sim-echo", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    assert chunks[-1].usage.cost == answer.usage.cost > 0


@operation("GET /generation", "GET /generation/content")
def generations(sdks: Clients) -> None:
    answer = sdks.calls.chat.send(model="openai/sim-echo", messages=HELLO)
    shown = sdks.calls.generations.get_generation(id=answer.id).data
    assert (shown.id, shown.total_cost) == (answer.id, answer.usage.cost)
    content = sdks.calls.generations.list_generation_content(id=answer.id).data
    assert content.output.completion == "one two three"


@operation("POST /embeddings", "GET /embeddings/models")
def embeddings(sdks: Clients) -> None:
    answer = sdks.calls.embeddings.generate(model="openai/sim", input=["one", "two"], dimensions=4)
    assert [len(each.embedding) for each in answer.data] == [4, 4]
    assert sdks.calls.embeddings.list_models().result.data


@operation("POST /rerank")
def reranks(sdks: Clients) -> None:
    answer = sdks.calls.rerank.rerank(model="openai/sim", query="red fox", documents=DOCUMENTS)
    assert sorted(each.index for each in answer.results) == [0, 1, 2]
    assert all(each.document.text == DOCUMENTS[each.index] for each in answer.results)
    first = sdks.calls.rerank.rerank(
        model="openai/sim", query="red fox", documents=DOCUMENTS, top_n=1
    )
    assert [each.document.text for each in first.results] == ["a red fox"]


@operation("POST /images")
def images(sdks: Clients) -> None:
    answer = sdks.calls.images.generate(model="openai/sim", prompt="A red square")
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")


@operation("POST /audio/speech")
def speeches(sdks: Clients) -> None:
    answer = sdks.calls.tts.create_speech(
        model="openai/sim", input="hello", voice="alloy", response_format="mp3"
    )
    assert answer.read()


@operation("POST /audio/transcriptions")
def transcriptions(sdks: Clients) -> None:
    stt = sdks.calls.stt
    assert stt.create_transcription(model="openai/sim", input_audio=AUDIO).text
    file = {"file_name": "talk.wav", "content": WAV}
    assert stt.create_transcription_multipart(model="openai/sim", file=file).text


@operation(
    "POST /files",
    "GET /files",
    "GET /files/{file_id}",
    "GET /files/{file_id}/content",
    "DELETE /files/{file_id}",
)
def files(sdks: Clients) -> None:
    api = sdks.calls.files
    sent = [api.upload(file={"file_name": f"{n}.txt", "content": b"text"}) for n in range(3)]
    assert all(isinstance(each, components.OpenAIFile) for each in sent)
    assert {(each.bytes_, each.purpose, each.status) for each in sent} == {
        (4, "user_data", "processed")
    }
    page, seen = api.list(limit=2), []
    while page is not None:
        assert isinstance(page.result, components.OpenAIFileList)
        seen += [each.id for each in page.result.data]
        page = page.next()
    assert len(seen) == len(set(seen))
    assert {each.id for each in sent} <= set(seen)
    first = sent[0].id
    assert api.retrieve(file_id=first) == sent[0]
    assert api.download(file_id=first).read() == b"text"
    gone = api.delete(file_id=first)
    assert isinstance(gone, components.OpenAIFileDeleted)
    with pytest.raises(BadRequestResponseError, match="provider"):
        api.upload(file={"file_name": "a.txt", "content": b"text"}, provider="openai")


@operation("POST /batches", "GET /batches", "GET /batches/{id}", "DELETE /batches/{id}")
def batches(sdks: Clients) -> None:
    api = sdks.calls.batch
    ended = [
        _batch(sdks, "/v1/chat/completions", {"messages": HELLO}, "openai/sim-echo"),
        _batch(sdks, "/v1/embeddings", {"input": "one"}, "openai/sim"),
        _batch(sdks, "/v1/chat/completions", {"messages": HELLO}, "openai/sim-401"),
    ]
    answered, embedded, refused = ended
    assert answered.results[0].response.body.choices[0].message.content == "one two three"
    assert embedded.results[0].response.body.data[0].embedding
    assert refused.request_counts.failed == 1
    assert refused.results[0].error.message
    assert all(each.provider is None for each in ended)
    assert answered.usage.cost > 0
    listed = [each.id for each in api.list(status=["completed", "failed"]).result.data]
    assert {each.id for each in ended} <= set(listed)
    assert api.list(created_before="2020-01-31").result.data == []
    assert api.list(created_after="2020-01-31T12:00:00Z", limit=1).result.data
    gone = api.delete(id=answered.id)
    assert (gone.id, gone.deletion.openrouter) == (answered.id, "deleted")


def _batch(sdks: Clients, endpoint: str, body: dict[str, Any], model: str) -> Any:
    """Run a batch of one line; return it once it has ended."""
    api = sdks.calls.batch
    made = api.create_batches(
        endpoint=endpoint, model=model, requests=[{"custom_id": "a", "body": body}]
    )

    def ended() -> Any:
        found = api.get_batches(id=made.id)
        assert isinstance(found, components.BatchObject)
        return found if found.status in {"completed", "failed", "expired"} else None

    return until(ended, 30, f"{made.id} does not end")


@operation(
    "GET /models",
    "GET /models/count",
    "GET /models/user",
    "GET /model/{author}/{slug}",
    "GET /models/{author}/{slug}/endpoints",
    "GET /endpoints/zdr",
    "GET /images/models",
    "GET /images/models/{author}/{slug}/endpoints",
    "GET /providers",
)
def models(sdks: Clients) -> None:
    api = sdks.calls.models
    listed = [model.id for model in api.list().result.data]
    assert "openai/sim-echo" in listed
    assert api.count().data.count >= len(listed)
    assert api.get(**MODEL).data.id == "openai/sim-echo"
    own = api.list_for_user(security={"bearer": KEY}).result.data
    assert "openai/sim-echo" in [model.id for model in own]
    [endpoint] = sdks.calls.endpoints.list(**MODEL).data.endpoints
    assert float(endpoint.pricing.prompt) > 0
    assert sdks.calls.endpoints.list_zdr_endpoints().data == []
    images = [model.id for model in sdks.calls.images.list_models().data]
    author, _, slug = images[0].partition("/")
    assert sdks.calls.images.list_model_endpoints(author=author, slug=slug).id == images[0]
    assert sdks.calls.providers.list().data


@operation(
    "GET /presets",
    "GET /presets/{slug}",
    "GET /presets/{slug}/versions",
    "GET /presets/{slug}/versions/{version}",
    "POST /presets/{slug}/chat/completions",
    "POST /presets/{slug}/responses",
    "POST /presets/{slug}/messages",
)
def presets(sdks: Clients) -> None:
    api, slug = sdks.calls.presets, f"p-{uuid.uuid4().hex[:8]}"
    made = api.create_presets_chat_completions(slug=slug, model="openai/sim-echo", messages=HELLO)
    assert made.data.slug == slug
    assert slug in [each.slug for each in api.list().result.data]
    assert api.get(slug=slug).data.slug == slug
    assert len(api.list_versions(slug=slug).result.data) == 1
    assert api.get_version(slug=slug, version="1").data.config["model"] == "openai/sim-echo"
    answer = sdks.calls.chat.send(model=f"@preset/{slug}", messages=HELLO)
    assert answer.model == "openai/sim-echo"
    other = {"slug": slug, "model": "openai/sim-echo"}
    made = api.create_presets_responses(**other, instructions="Be brief.")
    assert made.data.designated_version.system_prompt == "Be brief."
    made = api.create_presets_messages(**other, messages=HELLO, max_tokens=9, system="Be kind.")
    assert made.data.designated_version.system_prompt == "Be kind."


@operation("POST /responses")
def responses(sdks: Clients) -> None:
    answer = sdks.calls.beta.responses.send(model="openai/sim-echo", input="one two three")
    assert answer.output[0].content[0].text == "one two three"


@operation("GET /activity", "GET /analytics/meta", "POST /analytics/query")
def analytics(sdks: Clients) -> None:
    api = sdks.admin.analytics
    api.get_user_activity()
    assert "request_count" in [metric.name for metric in api.get_analytics_meta().data.metrics]
    api.query_analytics(metrics=["request_count"], dimensions=["model"])


@operation("GET /credits")
def credit(sdks: Clients) -> None:
    assert sdks.admin.credits.get_credits().data.total_credits >= 0


@operation(
    "GET /key",
    "GET /keys",
    "POST /keys",
    "GET /keys/{hash}",
    "PATCH /keys/{hash}",
    "DELETE /keys/{hash}",
)
def keys(sdks: Clients) -> None:
    api = sdks.admin.api_keys
    assert sdks.calls.api_keys.get_current_key_metadata().data.is_management_key is False
    made = api.create(name="made", limit=5, limit_reset="monthly")
    assert made.key
    digest = made.data.hash
    assert digest in [each.hash for each in api.list().data]
    assert api.get(hash=digest).data.limit == 5
    changed = api.update(hash=digest, name="renamed", disabled=True).data
    assert (changed.name, changed.disabled) == ("renamed", True)
    assert api.delete(hash=digest).DELETED is True


@operation(
    "GET /workspaces",
    "POST /workspaces",
    "GET /workspaces/{id}",
    "PATCH /workspaces/{id}",
    "DELETE /workspaces/{id}",
    "GET /workspaces/{id}/members",
    "POST /workspaces/{id}/members/add",
    "POST /workspaces/{id}/members/remove",
    "GET /workspaces/{workspace_ref}/budgets",
    "GET /workspaces/{workspace_ref}/budgets/{interval}",
    "PUT /workspaces/{workspace_ref}/budgets/{interval}",
    "DELETE /workspaces/{workspace_ref}/budgets/{interval}",
    "GET /organization/members",
)
def workspaces(sdks: Clients) -> None:
    api, slug = sdks.admin.workspaces, f"w-{uuid.uuid4().hex[:8]}"
    made = api.create(name="Made", slug=slug).data
    assert made.id in [each.id for each in api.list().result.data]
    assert api.get(id=made.id).data.slug == slug
    assert api.update(id=made.id, name="Renamed").data.name == "Renamed"
    budget = {"workspace_ref": made.id, "interval": "monthly"}
    assert api.set_budget(**budget, limit_usd=5).data.limit_usd == 5
    assert api.get_budget(**budget).data.limit_usd == 5
    assert len(api.list_budgets(workspace_ref=made.id).data) == 1
    api.delete_budget(**budget)
    user = _user(sdks)
    assert user in [each.id for each in sdks.admin.organization.list_members().result.data]
    assert api.bulk_add_members(id=made.id, user_ids=[user]).added_count == 1
    assert user in [each.user_id for each in api.list_members(id=made.id).result.data]
    assert api.bulk_remove_members(id=made.id, user_ids=[user]).removed_count == 1
    api.delete(id=made.id)


def _user(sdks: Clients) -> str:
    """Make a person, which the SDK has no operation for."""
    url, _ = sdks.admin.sdk_configuration.get_server_details()
    security = sdks.admin.sdk_configuration.security
    key = (security() if callable(security) else security).api_key
    answer = httpx.post(
        f"{url}/users",
        headers={"Authorization": f"Bearer {key}"},
        json={"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


@operation("GET /byok", "POST /byok", "GET /byok/{id}", "PATCH /byok/{id}", "DELETE /byok/{id}")
def own_keys(sdks: Clients) -> None:
    api = sdks.admin.byok
    made = api.create(provider="openai", key="sk-of-our-own-1234", name="ours").data
    assert made.id in [each.id for each in api.list().result.data]
    assert api.get(id=made.id).data.name == "ours"
    assert api.update(id=made.id, name="theirs").data.name == "theirs"
    api.delete(id=made.id)


@operation("POST /auth/keys", "POST /auth/keys/code")
def app_keys(sdks: Clients) -> None:
    verifier = "v" * 43
    code = sdks.admin.o_auth.create_auth_code(
        callback_url="https://example.com/back",
        code_challenge=verifier,
        code_challenge_method="plain",
    ).data.id
    made = sdks.calls.o_auth.exchange_auth_code_for_api_key(
        code=code, code_verifier=verifier, code_challenge_method="plain"
    )
    assert made.key


def sdk_operations() -> set[tuple[str, str]]:
    """Return method and path of all operations that the SDK has."""
    found: set[tuple[str, str]] = set()
    with OpenRouter(api_key="any") as client:
        for module, name in client._sub_sdk_map.values():
            source = inspect.getsource(getattr(importlib.import_module(module), name))
            pairs = re.findall(r'method="(\w+)",\s*path="([^"]+)"', source)
            found |= {(method, _anonymous(path)) for method, path in pairs}
    return found


@pytest.mark.parametrize("check", dict.fromkeys(CHECKS.values()), ids=lambda check: check.__name__)
def test_an_operation_of_the_sdk_works(sdks: Clients, check: Check) -> None:
    check(sdks)


def test_every_operation_that_exists_here_is_tested(wires: Installation) -> None:
    paths = wires.http.get(f"{wires.root}/openapi.json").json()["paths"]
    served = {
        (method.upper(), _anonymous(path.removeprefix("/api/v1")))
        for path, methods in paths.items()
        for method in methods
    }
    known = sdk_operations()
    assert len(known) > 100
    assert known & served == set(CHECKS)
