"""Calls are routed as requested, counted at the simulator."""

from collections import Counter
from typing import Any

import orjson
import pytest

from tests.installation import Installation, chat

DRY = {"ignore": ["gone"]}


def route(installation: Installation, model: str = "three/ways", **more: Any) -> Any:
    messages = [{"role": "user", "content": "Hello"}]
    return installation.http.post("/route", json={"model": model, "messages": messages, **more})


def ask(installation: Installation, model: str = "three/ways", **more: Any) -> Any:
    headers = {"X-OpenRouter-Metadata": "enabled"}
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": model, "messages": messages, **more}
    return installation.http.post("/chat/completions", json=body, headers=headers)


def test_a_dry_run_tells_the_plan_and_sends_nothing(installation: Installation) -> None:
    before = installation.calls("Hello")["matching"]
    jobs = installation.http.get("/jobs").json()["data"]
    plan = route(installation, provider=DRY | {"sort": "price"}).json()
    assert [place["provider"] for place in plan["plan"]] == ["spare", "calm"]
    assert plan["plan"][0]["quote"] > 0
    assert [each["excluded_by"] for each in plan["routing"]["excluded"]] == ["ignored_providers"]
    refused = route(installation, provider={"max_price": {"prompt": 0.1}})
    assert refused.status_code == 404
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["param"] == "provider.max_price"
    assert installation.calls("Hello")["matching"] == before
    assert installation.http.get("/jobs").json()["data"] == jobs


def test_draws_are_spread_by_price_and_wishes_decide(installation: Installation) -> None:
    drawn = Counter(route(installation, provider=DRY).json()["provider"] for _ in range(60))
    assert drawn["spare"] > 50
    for wish, first in (
        ({"provider": DRY | {"sort": "price"}}, "spare"),
        ({"provider": DRY | {"order": ["calm"]}}, "calm"),
        ({"provider": {"max_price": {"prompt": 2}, "ignore": ["gone"]}}, "spare"),
        ({"routing": {"strategy": "cost"}, "provider": DRY}, "spare"),
    ):
        assert route(installation, **wish).json()["provider"] == first
    assert route(installation, "three/ways:floor", provider=DRY).json()["provider"] == "spare"


def test_calls_go_as_planned(installation: Installation) -> None:
    before = installation.calls('"sim-echo"')["matching"]
    for _ in range(5):
        answer = ask(installation, provider={"sort": "price", "ignore": ["gone"]})
        assert answer.json()["provider"] == "spare"
    assert installation.calls('"sim-echo"')["matching"] == before + 5


def test_an_answer_tells_how_it_was_routed(installation: Installation) -> None:
    answer = ask(installation, provider={"order": ["gone", "spare"], "ignore": ["calm"]}).json()
    routed = answer["openrouter_metadata"]
    assert routed["requested"] == "three/ways"
    assert routed["attempt"] == len(routed["attempts"]) >= 1
    assert routed["attempts"][-1] | {"status": 200} == {
        "provider": "spare", "model": "three/ways", "status": 200, "outcome": "ok",
    }  # fmt: skip
    selected = [each["provider"] for each in routed["endpoints"]["available"] if each["selected"]]
    assert selected == ["spare"]
    plain = installation.http.post("/chat/completions", json=chat("sim-echo")).json()
    assert "openrouter_metadata" not in plain


def test_a_streams_last_chunk_tells_it_too(installation: Installation) -> None:
    text = ask(installation, provider={"only": ["spare"]}, stream=True).text
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    chunks = [orjson.loads(line) for line in lines]
    assert chunks[-1]["usage"]
    assert chunks[-1]["openrouter_metadata"]["attempts"][-1]["provider"] == "spare"
    assert all("openrouter_metadata" not in chunk for chunk in chunks[:-1])


def test_the_auto_router_says_what_it_chose(installation: Installation) -> None:
    answer = ask(installation, "openrouter/auto").json()
    assert answer["model"] == "anthropic/claude-haiku-4.5"
    routed = answer["openrouter_metadata"]
    assert routed["strategy"] == "auto"
    assert routed["choice"]["task"] == "chat"
    assert routed["choice"]["chosen"] == [answer["model"]]


def test_a_session_stays_where_it_was_served(installation: Installation) -> None:
    prompt = "x" * 40_000  # long enough for the cache to weigh more than the answer
    body = {"session_id": "s-1", "messages": [{"role": "user", "content": prompt}]}
    ask(installation, **body, provider={"only": ["spare"]})
    for _ in range(5):
        plan = route(installation, **body, provider=DRY).json()["plan"]
        assert plan[0]["provider"] == "spare"
        assert "prompt cache" in plan[0]["reason"]
    named = {"model": "three/ways", "messages": body["messages"], "provider": DRY}
    headers = {"X-Session-Id": "s-1"}
    job = installation.http.post("/jobs", json={"body": named}, headers=headers).json()
    assert "prompt cache" in installation.job(job["id"])["plan"][0]["reason"]


def test_options_are_passed_to_their_provider(installation: Installation) -> None:
    options = {"spare": {"vendor_switch": 4711, "max_tokens": 1}, "calm": {"vendor_switch": 815}}
    answer = ask(installation, provider={"only": ["spare"], "options": options})
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert installation.calls('"vendor_switch":4711')["matching"] == 1
    assert installation.calls('"vendor_switch":815')["matching"] == 0


@pytest.mark.parametrize(
    ("field", "value"), [("sort", "best"), ("max_price", {"prmpt": 1}), ("only", "spare")]
)
def test_a_wish_that_cannot_be_read_is_a_400_that_names_it(
    installation: Installation, field: str, value: Any
) -> None:
    answer = ask(installation, provider={field: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(f"provider.{field}")
