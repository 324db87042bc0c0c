"""Presets through OpenRouter's own SDK, and in calls, streams and jobs."""

from collections.abc import Iterator

import pytest
from openrouter import OpenRouter

from tests.installation import KEY, Installation, chat

SYSTEM = {"role": "system", "content": "Be brief as a preset."}
HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def sdk(installation: Installation) -> Iterator[OpenRouter]:
    with OpenRouter(api_key=KEY, server_url=installation.url) as client:
        yield client


def test_made_by_the_sdk_and_used_in_every_way(installation: Installation, sdk: OpenRouter) -> None:
    made = sdk.presets.create_presets_chat_completions(
        slug="mail", messages=[SYSTEM, HELLO], model="sim/sim-echo", temperature=0.5
    ).data
    assert made.designated_version.version == 1
    assert made.designated_version.system_prompt == "Be brief as a preset."
    assert made.designated_version.config == {"model": "sim/sim-echo", "temperature": 0.5}
    assert sdk.presets.get(slug="mail").data.id == made.id
    for body in (
        {"model": "@preset/mail", "messages": [HELLO]},
        {"preset": "mail", "messages": [HELLO]},
        {"model": "spare/sim-echo@preset/mail", "messages": [HELLO]},
    ):
        answer = installation.http.post("/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == "hello"
    assert answer.json()["model"] == "spare/sim-echo"
    sent = installation.calls("Be brief as a preset.")
    assert sent["matching"] == 3
    accepted = installation.http.post(
        "/jobs", json={"body": {"preset": "mail", "messages": [HELLO]}}
    )
    assert installation.await_job(accepted.json()["id"])["model"] == "sim/sim-echo"


def test_made_of_a_response_and_used_in_two_dialects(
    installation: Installation, sdk: OpenRouter
) -> None:
    made = sdk.presets.create_presets_responses(
        slug="terse",
        model="sim/sim-echo",
        instructions="Be terse as a preset.",
        max_output_tokens=5,
    ).data.designated_version
    assert made.system_prompt == "Be terse as a preset."
    assert made.config | {"service_tier": "auto"} == {
        "model": "sim/sim-echo",
        "max_completion_tokens": 5,
        "service_tier": "auto",
    }
    response = installation.http.post(
        "/responses", json={"model": "@preset/terse", "input": "one two three four five six seven"}
    ).json()
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    answer = installation.http.post(
        "/chat/completions", json={"preset": "terse", "messages": [HELLO]}
    )
    assert answer.json()["choices"][0]["message"]["content"] == "hello"
    message = installation.http.post(
        "/messages", json={"model": "@preset/terse", "max_tokens": 9, "messages": [HELLO]}
    )
    assert message.json()["content"] == [{"type": "text", "text": "hello"}]
    assert installation.calls("Be terse as a preset.")["matching"] == 3


def test_made_of_a_message(installation: Installation) -> None:
    body = {"model": "sim/sim-echo", "max_tokens": 9, "system": "Be kind.", "messages": [HELLO]}
    made = installation.http.post("/presets/kind/messages", json=body).json()["data"]
    assert made["designated_version"]["system_prompt"] == "Be kind."
    assert made["designated_version"]["config"] == {"model": "sim/sim-echo", "max_tokens": 9}


def test_versions(installation: Installation) -> None:
    for seed in (1, 2):
        body = chat("sim-echo", seed=seed)
        made = installation.http.post("/presets/versioned/chat/completions", json=body)
        assert made.json()["data"]["designated_version"]["version"] == seed
    listed = installation.http.get("/presets/versioned/versions").json()
    assert [each["config"]["seed"] for each in listed["data"]] == [2, 1]
    assert listed["total_count"] == 2
    back = installation.http.patch("/presets/versioned", json={"version": 1})
    assert back.json()["data"]["designated_version"]["config"]["seed"] == 1
    assert installation.http.get("/presets/versioned/versions/2").json()["data"]["version"] == 2
    assert "versioned" in [
        each["slug"] for each in installation.http.get("/presets").json()["data"]
    ]
    assert installation.http.delete("/presets/versioned").status_code == 200
    assert installation.http.get("/presets/versioned").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/chat/completions", {"preset": "nobody", "messages": [HELLO]}, 404),
        ("POST", "/chat/completions", {"preset": "No!", "messages": [HELLO]}, 400),
        ("POST", "/presets/No!/chat/completions", chat(), 400),
        ("POST", "/presets/empty/chat/completions", {"messages": [HELLO]}, 400),
        ("POST", "/presets/x/chat/completions", {"model": "@preset/y", "messages": [HELLO]}, 400),
        ("POST", "/presets/x/chat/completions", chat(temperature=9), 400),
        ("POST", "/presets/x/messages", {"messages": [HELLO]}, 400),
        ("POST", "/presets/x/messages", {"model": "m", "temperature": "hot"}, 400),
        ("POST", "/presets/x/responses", {"input": "hi"}, 400),
        ("POST", "/presets/x/responses", {"model": "m", "temperature": 9}, 400),
        ("POST", "/embeddings", {"model": "@preset/mail", "input": "x"}, 400),
        ("PATCH", "/presets/nobody", {"version": 1}, 404),
        ("PATCH", "/presets/nobody", {"version": "1"}, 400),
        ("GET", "/presets/nobody/versions", None, 404),
        ("GET", "/presets/nobody/versions/1", None, 404),
        ("DELETE", "/presets/nobody", None, 404),
    ],
)
def test_bad_input(
    installation: Installation, method: str, path: str, body: dict | None, status: int
) -> None:
    answer = installation.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
