"""Read a recording of Gemini's generateContent, streamed as events or as an array."""

import json
from typing import Any

from tests.contract.oracles import Counts, Expected, Said

FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "BLOCKLIST": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "OTHER": "error",
}


def expected(exchange: dict[str, Any]) -> Expected:
    chunks = _chunks(exchange)
    if any("error" in chunk for chunk in chunks):
        return Expected(failure=True)
    counted = [
        usage
        for chunk in chunks
        if "promptTokenCount" in (usage := chunk.get("usageMetadata", {}))
        or "candidatesTokenCount" in usage
    ]
    counts = _counts(counted[-1]) if counted else None
    candidates = [c for chunk in chunks for c in chunk.get("candidates", [])]
    if not candidates:
        assert any(chunk.get("promptFeedback", {}).get("blockReason") for chunk in chunks)
        return Expected((Said(finish="content_filter"),), counts)
    indexes = sorted({candidate.get("index", 0) for candidate in candidates})
    mine = [[c for c in candidates if c.get("index", 0) == index] for index in indexes]
    if "stream" in exchange["tags"] and not all(_reasons(entries) for entries in mine):
        return Expected(unfinished=True)
    said = tuple(_said(entries) for entries in mine)
    ids = [call.get("id") for entries in mine for call in _calls(entries)]
    return Expected(said, counts, call_ids=tuple(ids) if all(ids) else ())


def _chunks(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    body = exchange["response"]["body"]
    if "fmt_sse" in exchange["tags"] and not body.lstrip().startswith("{"):
        lines = body.replace("\r\n", "\n").split("\n")
        return [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    parsed = json.loads(body)
    return parsed if isinstance(parsed, list) else [parsed]


def _parts(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for c in candidates for part in c.get("content", {}).get("parts") or []]


def _calls(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part["functionCall"] for part in _parts(candidates) if "functionCall" in part]


def _reasons(candidates: list[dict[str, Any]]) -> list[str]:
    return [c["finishReason"] for c in candidates if "finishReason" in c]


def _said(candidates: list[dict[str, Any]]) -> Said:
    parts = _parts(candidates)
    calls = tuple((call["name"], call.get("args", {})) for call in _calls(candidates))
    finish = FINISH[(_reasons(candidates) or ["STOP"])[-1]]
    return Said(
        content="".join(p.get("text", "") for p in parts if not p.get("thought")),
        reasoning="".join(p.get("text", "") for p in parts if p.get("thought")),
        calls=calls,
        finish="tool_calls" if calls and finish == "stop" else finish,
    )


def _counts(usage: dict[str, Any]) -> Counts:
    thoughts = usage.get("thoughtsTokenCount")
    prompt = usage.get("promptTokenCount")
    if prompt is not None:
        prompt += usage.get("toolUsePromptTokenCount", 0)
    return Counts(
        prompt=prompt,
        completion=usage.get("candidatesTokenCount", 0) + (thoughts or 0),
        cached=usage.get("cachedContentTokenCount"),
        reasoning=thoughts,
    )
