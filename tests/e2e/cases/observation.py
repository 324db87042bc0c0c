"""Read from a caller's answer what the cases expect of it."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from tests.e2e.cases.playback import Sent
from tests.installation import Installation


def find(value: Any, path: str) -> Any:
    """Return what lies at a dotted path, or None where nothing does."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


@dataclass
class SentMessage:
    """The ids of the tool calls and of the results in one message to a provider."""

    calls: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


def sent_messages(body: dict[str, Any]) -> list[SentMessage]:
    """Read tool-call ids from a request to a provider, in the form of any wire."""
    found = []
    for message in body.get("messages") or body.get("contents") or []:
        content = message.get("content") or message.get("parts") or []
        blocks = content if isinstance(content, list) else []
        ids = SentMessage([call["id"] for call in message.get("tool_calls") or []])
        if "tool_call_id" in message:
            ids.results.append(message["tool_call_id"])
        for block in blocks:
            _collect_ids(block, ids)
        found.append(ids)
    return found


def _collect_ids(block: dict[str, Any], ids: SentMessage) -> None:
    if block.get("type") == "tool_use":
        ids.calls.append(block["id"])
    elif block.get("type") == "tool_result":
        ids.results.append(block["tool_use_id"])
    elif "toolUse" in block:
        ids.calls.append(block["toolUse"]["toolUseId"])
    elif "toolResult" in block:
        ids.results.append(block["toolResult"]["toolUseId"])
    elif "id" in block.get("functionCall", {}):
        ids.calls.append(block["functionCall"]["id"])
    elif "id" in block.get("functionResponse", {}):
        ids.results.append(block["functionResponse"]["id"])


@dataclass
class Observation:
    """One call as its caller, its provider and its stored job show it."""

    installation: Installation
    status: int
    text_body: str
    headers: httpx.Headers
    seconds: float
    requests: list[Sent] = field(default_factory=list)

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @cached_property
    def chunks(self) -> list[dict[str, Any]]:
        lines = [line[6:] for line in self.text_body.splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    @cached_property
    def answer(self) -> dict[str, Any]:
        return dict(json.loads(self.text_body))

    @cached_property
    def job(self) -> dict[str, Any]:
        job_id = self.headers.get("x-job-id") or self.headers["location"].rpartition("/")[2]
        return self.installation.await_job(job_id)

    @cached_property
    def choices(self) -> list[dict[str, Any]]:
        """Every choice with what it holds: a chunk's delta or an answer's message."""
        bodies = self.chunks if self.is_stream else [self.answer]
        return [choice for body in bodies for choice in body.get("choices") or []]

    def parts(self, name: str) -> list[Any]:
        held = [choice.get("delta") or choice.get("message") or {} for choice in self.choices]
        return [each[name] for each in held if each.get(name) is not None]

    @property
    def text(self) -> str:
        if any("text" in choice for choice in self.choices):
            return "".join(choice.get("text") or "" for choice in self.choices)
        return "".join(self.parts("content"))

    @property
    def finish(self) -> str | None:
        reasons = [choice.get("finish_reason") for choice in self.choices]
        return next((reason for reason in reversed(reasons) if reason), None)

    @property
    def error(self) -> Any:
        bodies = self.chunks if self.is_stream else [self.answer]
        return next((body["error"] for body in bodies if body.get("error")), None)

    @property
    def usage(self) -> dict[str, Any]:
        bodies = self.chunks if self.is_stream else [self.answer]
        found = [body["usage"] for body in bodies if body.get("usage")]
        return dict(found[-1]) if found else {}

    @property
    def cost(self) -> float:
        return float(self.usage["cost"])

    @property
    def images(self) -> int:
        return sum(len(images) for images in self.parts("images"))

    @property
    def calls(self) -> list[list[str]]:
        """Tool calls folded as a client folds them: [id, name, arguments] by index."""
        folded: dict[int, list[str]] = {}
        for position, calls in enumerate(self.parts("tool_calls")):
            for each in calls:
                call = folded.setdefault(each.get("index", position), ["", "", ""])
                function = each.get("function") or {}
                call[0] = call[0] or each.get("id") or ""
                call[1] = call[1] or function.get("name") or ""
                call[2] += function.get("arguments") or ""
        return [folded[index] for index in sorted(folded)]

    @property
    def generation(self) -> dict[str, Any]:
        answer = self.installation.http.get("/generation", params={"id": self.job["generation_id"]})
        return dict(answer.json()["data"])
