"""Recorded answers of models, providers and presets."""

from tests.api.answers.calls import CHAT, MESSAGE
from tests.api.answers.walking import Walk

SMALL = {"author": "acme", "slug": "small"}


def look_around(walk: Walk) -> None:
    ask = walk.caller
    ask("GET /models", params={"q": "acme/small", "limit": 1})
    ask("GET /models/count")
    ask("GET /models/user", params={"limit": 1})
    ask("GET /embeddings/models")
    ask("GET /images/models")
    ask("GET /images/models/{author}/{slug}/endpoints", author="acme", slug="paint")
    ask("GET /model/{author}/{slug}", **SMALL)
    ask("GET /models/{author}/{slug}", **SMALL)
    ask.until(_was_called, "GET /models/{author}/{slug}/endpoints", **SMALL)
    ask("GET /endpoints/zdr")
    ask("GET /providers")
    walk.operator("GET /providers/configuration")
    walk.operator("POST /providers/{slug}/pause", slug="closed", json={"reason": "an outage there"})
    walk.operator("POST /providers/{slug}/resume", slug="closed")


def keep_presets(walk: Walk) -> None:
    ask, one = walk.caller, {"slug": "brief"}
    system = {"role": "system", "content": "Answer in one sentence."}
    for temperature in (0.2, 0.7):
        body = CHAT | {"messages": [system, *CHAT["messages"]], "temperature": temperature}
        ask("POST /presets/{slug}/chat/completions", json=body, **one)
    spoken = {"model": "acme/small", "instructions": "Answer in one word."}
    ask("POST /presets/{slug}/responses", json=spoken, slug="terse")
    ask("POST /presets/{slug}/messages", json=MESSAGE | {"system": "Be brief."}, slug="terse")
    ask("DELETE /presets/{slug}", slug="terse")
    ask("GET /presets/{slug}", **one)
    ask("GET /presets")
    ask("GET /presets/{slug}/versions", **one)
    ask("GET /presets/{slug}/versions/{version}", version=1, **one)
    ask("PATCH /presets/{slug}", json={"version": 1}, **one)
    ask("DELETE /presets/{slug}", **one)


def _was_called(told: dict) -> bool:
    seen = told["data"]["endpoints"][0]
    return seen["latency_last_30m"] is not None and seen["throughput_last_30m"] is not None
