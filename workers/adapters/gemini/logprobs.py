"""Gemini's `logprobsResult` as OpenAI's `logprobs`.

Source: ai.google.dev/api/generate-content#LogprobsResult.
"""

from typing import Any

from broker.completion import Json


def read_logprobs(result: Any) -> Json | None:
    """Return the log probabilities of the chosen tokens, each with its alternatives."""
    if not isinstance(result, dict):
        return None
    tops = [_objects(top.get("candidates")) for top in _objects(result.get("topCandidates"))]
    content = [
        {**_token(chosen), "top_logprobs": [_token(top) for top in beside]}
        for chosen, beside in _paired(_objects(result.get("chosenCandidates")), tops)
    ]
    return {"content": content, "refusal": None} if content else None


def _paired(chosen: list[Json], tops: list[list[Json]]) -> list[tuple[Json, list[Json]]]:
    """Put the alternatives beside the tokens; they are only given where they were asked for."""
    missing: list[list[Json]] = [[]] * (len(chosen) - len(tops))
    return list(zip(chosen, tops + missing, strict=False))


def _token(candidate: Json) -> Json:
    token = candidate.get("token")
    token = token if isinstance(token, str) else ""
    logprob = candidate.get("logProbability", 0.0)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _objects(entries: Any) -> list[Json]:
    found = entries if isinstance(entries, list) else []
    return [entry for entry in found if isinstance(entry, dict)]
