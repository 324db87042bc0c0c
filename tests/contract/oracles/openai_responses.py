"""Read a recording of OpenAI's Responses API, in any vendor's variation."""

import json
from typing import Any

from tests.contract.oracles import Counts, Expected, Said

ENDS = ("response.completed", "response.incomplete", "response.failed")


def expected(exchange: dict[str, Any]) -> Expected:
    """Read the whole answer: a stream repeats it in its last event."""
    text = exchange["response"]["body"]
    if "stream" not in exchange["tags"]:
        return _whole(json.loads(text))
    events = [
        json.loads(line[5:])
        for line in text.replace("\r\n", "\n").split("\n")
        if line.startswith("data:") and line[5:].strip() not in ("", "[DONE]")
    ]
    if any(event["type"] == "error" for event in events):
        return Expected(failure=True)
    last = [event["response"] for event in events if event["type"] in ENDS]
    if not last:
        return Expected(unfinished=True)
    # Some vendors leave the items out of the last event.
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return _whole({**last[-1], "output": last[-1].get("output") or done})


def _whole(answer: dict[str, Any]) -> Expected:
    if answer.get("error") or answer["status"] == "failed":
        return Expected(failure=True)
    content, thoughts, calls, ids = "", [], [], []
    for item in answer["output"]:
        if item["type"] == "message":
            content += "".join(part.get("text", "") for part in item["content"])
        elif item["type"] == "reasoning":
            thoughts += [part["text"] for part in item.get("summary") or []]
            thoughts += [part["text"] for part in item.get("content") or []]
        elif item["type"] == "function_call":
            calls.append((item["name"], json.loads(item["arguments"])))
            ids.append(item["call_id"])
        elif item["type"] == "custom_tool_call":
            calls.append((item["name"], item["input"]))
            ids.append(item["call_id"])
    said = Said(content, "\n\n".join(filter(None, thoughts)), tuple(calls), _finish(answer, calls))
    return Expected((said,), _counts(answer.get("usage")), call_ids=tuple(ids))


def _finish(answer: dict[str, Any], calls: list[Any]) -> str:
    if answer["status"] == "incomplete":
        reason = answer["incomplete_details"]["reason"]
        return "length" if reason == "max_output_tokens" else reason
    return "tool_calls" if calls else "stop"


def _counts(usage: dict[str, Any] | None) -> Counts | None:
    if not usage:
        return None
    cost = usage.get("cost")
    ticks = usage.get("cost_in_usd_ticks")
    return Counts(
        prompt=usage["input_tokens"],
        completion=usage["output_tokens"],
        cached=usage["input_tokens_details"]["cached_tokens"],
        reasoning=usage["output_tokens_details"]["reasoning_tokens"],
        cost_nanos=round(cost * 1e9)
        if cost is not None
        else None
        if ticks is None
        else round(ticks / 10),
    )
