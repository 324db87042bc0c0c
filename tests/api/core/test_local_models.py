"""Servers of one's own tell what they have: listed, shown, asked for; also when they go away."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from api.core.local_models import MAX_LIST_BYTES, LocalModels, fetch_lists, find_local_servers
from broker.catalog import LiveCatalog
from broker.catalog.discovered import MAX_LISTED
from broker.errors import UnknownModelError
from broker.migrations import migrate
from broker.providers.configuration import load_providers
from broker.settings import Settings
from broker.storage.database import Database

TWO = {"object": "list", "data": [{"id": "llama3.2:1b", "created": 5}, {"id": "nomic-embed-text"}]}


class Server:
    """A local server whose list a test writes."""

    def __init__(self):
        self.status, self.body = 200, json.dumps(TWO).encode()
        self.asked = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("authorization")))
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.stop()


def providers(server):
    return load_providers(Settings(), {"VLLM_BASE_URL": server.url, "VLLM_API_KEY": "sk-local"})


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One without imports, for all tests: they only read it."""
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('local')}/waybill.db")
    migrate(made.engine)
    yield made
    made.close()


@pytest.fixture
def live(server, database):
    return LiveCatalog(Settings(), providers(server), database)


async def test_what_a_server_lists_is_in_the_catalog(server, live):
    await LocalModels(providers(server), live).refresh()
    found = live.current
    assert set(found.models) == {"vllm/llama3.2:1b", "vllm/nomic-embed-text"}
    assert found.find("vllm/llama3.2:1b").created == 5
    assert found.models["vllm/nomic-embed-text"].output_modalities == ["embeddings"]
    assert [path for path, _ in server.asked] == ["/v1/models"]
    # A router may choose it, and what is not listed can be asked for as before
    assert set(found.endpoints(["waybill/auto"])) == {"vllm/llama3.2:1b"}
    assert found.endpoints(["vllm/other"])["vllm/other"]
    with pytest.raises(UnknownModelError, match=r"vllm/llama3\.2:1b"):
        found.find("vllm/llama3.2:1")


async def test_the_catalog_follows_the_list(server, live):
    models = LocalModels(providers(server), live)
    await models.refresh()
    before = live.current
    await models.refresh()
    assert live.current is before  # nothing has changed
    server.body = json.dumps({"data": [{"id": "new", "max_model_len": 9}]}).encode()
    await models.refresh()
    assert {slug: m.context_length for slug, m in live.current.models.items()} == {"vllm/new": 9}


async def test_a_server_that_is_down_keeps_its_models_and_stops_nobody(server, live):
    models = LocalModels(providers(server), live)
    await models.refresh()
    server.stop()
    await models.refresh()
    assert "vllm/llama3.2:1b" in live.current.models
    never = LocalModels(providers(server), live)
    await never.start()
    await never.close()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not JSON", b"7", b'"text"', b'{"data": 7}', b'{"data": {"id": "x"}}',
        b'{"data": "' + b"x" * MAX_LIST_BYTES + b'"}',
    ],
    ids=["nothing", "text", "number", "string", "count", "object", "endless"],
)  # fmt: skip
async def test_an_answer_that_is_no_list_is_none(server, body):
    server.body = body
    assert await fetch_lists(find_local_servers(providers(server).values())) == {}


async def test_a_list_is_bounded_and_read_with_tolerance(server):
    odd = [
        {"id": "ok", "created": "yesterday", "context_length": "long", "name": 7,
         "architecture": "dense", "supported_parameters": "tools", "top_provider": []},
        {"id": 7}, "text", None, {"name": "nameless"}, {"id": ""}, {"id": "two words"},
        {"id": "x" * 1_000}, {"id": "bell\x07"}, {"id": "b", "created": -1, "max_model_len": True},
    ]  # fmt: skip
    server.body = json.dumps({"data": odd}).encode()
    servers = find_local_servers(providers(server).values())
    offers = (await fetch_lists(servers))["vllm"]
    assert [offer.endpoint.native for offer in offers] == ["ok", "b"]
    assert {(o.created, o.name, o.endpoint.context_length) for o in offers} == {(None, None, None)}
    server.body = json.dumps([{"id": f"m{n}"} for n in range(2 * MAX_LISTED)]).encode()
    assert len((await fetch_lists(servers))["vllm"]) == MAX_LISTED


async def test_an_error_is_no_list(server):
    server.status = 503
    assert await fetch_lists(find_local_servers(providers(server).values())) == {}
