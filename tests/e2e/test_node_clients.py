"""The `openai` and `@openrouter/sdk` packages for Node, as they are on npm.

`WAYBILL_TEST_NODE_MODULES` names a `node_modules` directory that has them; CI makes one. Without
it, or without node, nothing of this is tested.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.installation import KEY, Installation
from tests.stacks import any_stack

MODULES = os.environ.get("WAYBILL_TEST_NODE_MODULES")
NODE = shutil.which("node")
pytestmark = [
    any_stack,
    pytest.mark.skipif(
        not (MODULES and NODE), reason="WAYBILL_TEST_NODE_MODULES is not set, or there is no node"
    ),
]
OPENAI = """
import OpenAI from 'openai';
const client = new OpenAI({baseURL: process.env.URL, apiKey: process.env.KEY, maxRetries: 0});
const messages = [{role: 'user', content: 'one two three'}];
"""
OPENROUTER = """
import { OpenRouter } from '@openrouter/sdk';
const client = new OpenRouter({serverURL: process.env.URL, apiKey: process.env.KEY});
const messages = [{role: 'user', content: 'one two three'}];
"""
TELL = "console.log(JSON.stringify(told));"


def told(installation: Installation, directory: Path, *source: str) -> Any:
    """Run a script that imports the packages; return what it told."""
    assert MODULES is not None
    assert NODE is not None
    (directory / "node_modules").symlink_to(MODULES)
    script = directory / "script.mjs"
    script.write_text("\n".join([*source, TELL]))
    done = subprocess.run(
        [NODE, str(script)],
        env={"URL": installation.url, "KEY": KEY, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_openai_creates_follows_and_continues_responses(
    installation: Installation, tmp_path: Path
) -> None:
    source = """
    const asked = {model: 'sim/sim-echo', input: 'one two three'};
    const whole = await client.responses.create(asked);
    const next = await client.responses.create({...asked, previous_response_id: whole.id});
    const numbers = [];
    let id = null;
    const stream = await client.responses.create({...asked, stream: true, background: true});
    for await (const event of stream) {
      id = id ?? event.response.id;
      numbers.push(event.sequence_number);
      if (numbers.length === 4) break;
    }
    let text = null;
    const rest = await client.responses.retrieve(id, {stream: true, starting_after: 3});
    for await (const event of rest) {
      numbers.push(event.sequence_number);
      text = event.response?.output[0]?.content[0].text ?? text;
    }
    const error = await client.responses.create({...asked, conversation: 'c'}).catch((e) => e);
    const told = {whole: whole.output_text, next: next.output_text, numbers, text,
                  param: error.param, type: error.type};
    """
    found = told(installation, tmp_path, OPENAI, source)
    assert found["whole"] == found["next"] == found["text"] == "one two three"
    assert found["numbers"] == list(range(len(found["numbers"])))
    assert (found["param"], found["type"]) == ("conversation", "invalid_request_error")


def test_openai_answers_and_streams(installation: Installation, tmp_path: Path) -> None:
    source = """
    const whole = await client.chat.completions.create({model: 'sim/sim-echo', messages});
    const parts = [];
    let usage = null;
    const stream = await client.chat.completions.create(
      {model: 'sim/sim-echo', messages, stream: true});
    for await (const chunk of stream) {
      parts.push(chunk.choices[0].delta.content ?? '');
      usage = chunk.usage ?? usage;
    }
    const told = {whole: whole.choices[0].message.content, streamed: parts.join(''),
      same: JSON.stringify(whole.usage) === JSON.stringify(usage)};
    """
    assert told(installation, tmp_path, OPENAI, source) == {
        "whole": "one two three",
        "streamed": "one two three",
        "same": True,
    }


def test_openai_streams_texts(installation: Installation, tmp_path: Path) -> None:
    source = """
    const asked = {model: 'sim/sim-echo', prompt: 'one two three'};
    const parts = [], reasons = [];
    for await (const chunk of await client.completions.create({...asked, stream: true})) {
      parts.push(chunk.choices[0].text);
      if (chunk.choices[0].finish_reason) reasons.push(chunk.choices[0].finish_reason);
    }
    const told = [parts.join(''), reasons];
    """
    assert told(installation, tmp_path, OPENAI, source) == ["one two three", ["stop"]]


def test_openai_helpers_and_errors(installation: Installation, tmp_path: Path) -> None:
    source = """
    const runner = client.chat.completions.stream({model: 'sim/sim-echo', messages});
    const final = await runner.finalChatCompletion();
    const {request_id} = await client.chat.completions.create({model: 'sim/sim-echo', messages})
      .withResponse();
    let error = null;
    try {
      await client.chat.completions.create({model: 'sim/sim-ecko', messages});
    } catch (caught) { error = caught; }
    const told = {text: final.choices[0].message.content, total: final.usage.total_tokens > 0,
      id: Boolean(request_id), status: error.status, param: error.param,
      kind: error instanceof OpenAI.NotFoundError};
    """
    assert told(installation, tmp_path, OPENAI, source) == {
        "text": "one two three",
        "total": True,
        "id": True,
        "status": 404,
        "param": "model",
        "kind": True,
    }


def test_openrouter_answers_and_streams(installation: Installation, tmp_path: Path) -> None:
    source = """
    const asked = {model: 'sim/sim-echo', messages};
    const whole = await client.chat.send({chatRequest: asked});
    const parts = [];
    let cost = null;
    for await (const chunk of await client.chat.send({chatRequest: {...asked, stream: true}})) {
      parts.push(chunk.choices[0].delta.content ?? '');
      cost = chunk.usage?.cost ?? cost;
    }
    const told = {whole: whole.choices[0].message.content, streamed: parts.join(''),
      same: whole.usage.cost === cost && cost > 0};
    """
    assert told(installation, tmp_path, OPENROUTER, source) == {
        "whole": "one two three",
        "streamed": "one two three",
        "same": True,
    }
