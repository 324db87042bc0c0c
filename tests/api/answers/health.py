"""Recorded answers of /health when a provider fails."""

from broker.providers.health.breaker import REFUSALS
from tests.api.answers.calls import CHAT
from tests.api.answers.walking import Walk


def look_at_health(walk: Walk) -> None:
    ask = walk.caller
    ask("GET /health/live")
    ask("GET /health/ready")
    for _ in range(REFUSALS):
        ask.http.post("/api/v1/chat/completions", json=CHAT | {"model": "acme/refused"})
    ask.until(lambda told: told["providers"], "GET /health")
    ask("GET /metrics")
