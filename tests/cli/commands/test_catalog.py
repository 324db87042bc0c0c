"""`waybill catalog` and `waybill models`, on a data directory of their own and without a server."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from api.models.schemas import ModelQuery
from broker import settings
from broker.catalog import load
from broker.catalog.selection import select_models
from broker.providers.configuration import load_providers

GPT_4O = {"id": "gpt-4o", "name": "GPT-4o", "cost": {"input": 3, "output": 9}, "tool_call": True}
ODD = {"id": "gpt-4o-mini", "name": "mini", "cost": {"input": 15, "output": 0.6}}
NEW = {"id": "gpt-9", "name": "GPT-9", "cost": {"input": 1, "output": 2}, "limit": {"context": 9}}


@pytest.fixture
def waybill(command, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    return command


@pytest.fixture
def models_dev(tmp_path):
    path = tmp_path / "api.json"
    path.write_text(json.dumps({"openai": {"models": {m["id"]: m for m in (GPT_4O, ODD, NEW)}}}))
    return str(path)


@pytest.fixture
def list_of_models():
    """A server with two models."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"data": [{"id": "qwen3:32b"}, {"id": "mine", "max_model_len": 7}]})
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_diff_changes_nothing(waybill, models_dev):
    shown = waybill("catalog", "diff", "--from", models_dev)
    assert shown.exit_code == 0, shown.output
    assert "prompt 2.5 → 3, completion 10 → 9" in shown.stdout
    assert "2 price" in shown.stdout
    assert "prompt 2.5" in waybill("models", "show", "gpt-4o").stdout


def test_an_import_is_applied_but_for_what_is_doubtful(waybill, models_dev):
    done = waybill("catalog", "refresh", "--from", models_dev, "--apply")
    assert done.exit_code == 1  # something was held back
    assert "--force openai:openai/gpt-4o-mini" in done.output
    assert "prompt 3, completion 9" in waybill("models", "show", "openai/gpt-4o").stdout
    assert "prompt 0.15" in waybill("models", "show", "openai/gpt-4o-mini").stdout
    assert "openai/gpt-9" in waybill("models", "list", "-q", "gpt-9").stdout
    # named, it is applied too
    forced = waybill("catalog", "refresh", "--from", models_dev, "--apply",
                     "--force", "openai:openai/gpt-4o-mini")  # fmt: skip
    assert forced.exit_code == 0, forced.output
    assert "prompt 15" in waybill("models", "show", "openai/gpt-4o-mini").stdout
    assert "nothing would change" in waybill("catalog", "diff", "--from", models_dev).stdout


def test_an_import_is_undone(waybill, models_dev):
    waybill("catalog", "refresh", "--from", models_dev, "--apply")
    assert "prompt 3" in waybill("catalog", "history", "openai", "openai/gpt-4o").stdout
    assert waybill("catalog", "undo").exit_code == 0
    assert "prompt 2.5" in waybill("models", "show", "gpt-4o").stdout
    assert waybill("catalog", "undo").exit_code == 1
    assert "no import" in waybill("catalog", "history", "openai", "openai/gpt-4o").stdout


def test_the_models_of_a_server_of_ones_own_are_found(waybill, monkeypatch, list_of_models):
    monkeypatch.setenv("OLLAMA_HOST", list_of_models)
    found = waybill("catalog", "discover", "ollama", "--apply")
    assert found.exit_code == 0, found.output
    shown = waybill("models", "show", "qwen/qwen3-32b").stdout
    assert "qwen3:32b" in shown
    assert "ollama/mine" in waybill("models", "list", "-q", "mine").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("catalog", "refresh", "--from", "/nowhere.json"), "cannot be read"),
        (("catalog", "refresh", "--from", "http://127.0.0.1:9/x"), "cannot be reached"),
        (("catalog", "discover", "nobody"), "waybill providers list"),
        (("models", "show", "openai/gpt-4oo"), "openai/gpt-4o"),
        (("models", "list", "--sort", "best"), "pricing-low-to-high"),
    ],
)
def test_what_is_wrong_is_said(waybill, words, said):
    answer = waybill(*words)
    assert answer.exit_code == 1
    assert said in answer.output


def test_a_list_in_another_format_is_refused(waybill, tmp_path):
    (tmp_path / "x.json").write_text('{"data": []}')
    answer = waybill("catalog", "refresh", "--from", str(tmp_path / "x.json"), "--apply")
    assert answer.exit_code == 1
    assert "models.dev" in answer.output


def test_a_model_is_shown_with_what_a_call_costs(waybill):
    shown = waybill("models", "show", "gpt-4o").stdout
    assert "0.0075" in shown  # 1,000 tokens at 2.5 and 500 at 10 dollars per million
    assert "openai" in shown


def test_the_list_and_the_doctor_count_as_the_api_does(waybill):
    listed = waybill("models", "list").stdout
    shown, others = map(int, re.search(r"^(\d+) models; (\d+) more", listed, re.MULTILINE).groups())
    assert f"{shown}: " in (told := waybill("doctor").stdout)
    assert f"{others} of other kinds" in told
    offered = load(settings.load(), load_providers(settings.load())).models
    assert shown == len(
        select_models(offered.values(), ModelQuery().listing_filter(), names={}, now=0)
    )
    assert f"{shown + others} models" in waybill("models", "list", "--output", "all").stdout
    assert "text → embeddings" in waybill("models", "list", "--output", "embeddings").stdout


def test_models_are_listed_by_their_versions(waybill):
    listed = waybill("models", "list", "-q", "gpt-").stdout
    assert listed.index("gpt-5.1 ") < listed.index("gpt-5.2 ") < listed.index("gpt-6-luna ")
    assert "davinci" not in waybill("models", "list").stdout
    assert "retired on 2026-10-23" in waybill("models", "show", "gpt-4").stdout


def test_the_models_of_a_running_server_are_listed_at_once(waybill, monkeypatch, list_of_models):
    monkeypatch.setenv("OLLAMA_HOST", list_of_models)
    assert "ollama/qwen3:32b" in waybill("models", "list", "-q", "ollama").stdout


def test_a_model_is_said_to_be_out_of_reach_where_its_api_is_not_called(waybill):
    assert "served by its" not in waybill("models", "show", "openai/gpt-5.4-pro").stdout
    assert "served by its realtime API" in waybill("models", "show", "openai/gpt-realtime").stdout
