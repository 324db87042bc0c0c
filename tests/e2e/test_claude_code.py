"""Claude Code as it is published on npm, over a model that is not Anthropic's.

`WAYBILL_TEST_NODE_MODULES` names a `node_modules` directory that has it; CI makes one. Without it,
nothing of this is tested. The program's own servers are not reached.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cases.playback import Playback
from tests.e2e.scripted import CHAT, Script, answer, tables
from tests.installation import KEY, Installation
from tests.stacks import any_stack

MODULES = Path(os.environ.get("WAYBILL_TEST_NODE_MODULES", "nowhere"))
CLAUDE = MODULES / ".bin/claude"
pytestmark = [
    any_stack,
    pytest.mark.skipif(
        not CLAUDE.exists() and os.environ.get("CI") != "true",
        reason="WAYBILL_TEST_NODE_MODULES has no @anthropic-ai/claude-code",
    ),
]
SECONDS = 120
COMMAND = "echo Good day > said.txt; cat said.txt"
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "Bash", "arguments": json.dumps({"command": COMMAND})},
}


def choice(message: dict[str, Any], reason: str) -> dict[str, Any]:
    return CHAT | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


SCRIPT = [
    answer(body=choice({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls")),
    answer(body=choice({"role": "assistant", "content": "I said it."}, "stop")),
]


@pytest.fixture
def provider() -> Iterator[Playback]:
    playback = Playback()
    playback.recordings["agent"] = Script(list(SCRIPT))
    yield playback
    playback.close()


@pytest.fixture
def waybill(provider: Playback) -> Iterator[Installation]:
    with Installation(config=tables("agent", provider.port)) as installation:
        yield installation


def test_claude_code_runs_a_command(
    waybill: Installation, provider: Playback, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [str(CLAUDE), "-p", "Say good day.", "--output-format", "json", "--allowedTools", "Bash"],
        cwd=work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "ANTHROPIC_BASE_URL": waybill.root,
            "ANTHROPIC_AUTH_TOKEN": KEY,
            "ANTHROPIC_MODEL": "t/agent",
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": "t/agent",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = json.loads(done.stdout)
    assert (told["is_error"], told["result"], told["num_turns"]) == (False, "I said it.", 2)
    assert told["usage"]["input_tokens"] == 20
    assert told["usage"]["output_tokens"] == 10
    assert (work / "said.txt").read_text() == "Good day\n"
    last = json.loads(provider.recordings["agent"].requests[-1].body)
    assert last["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "Good day",
    }
    waybill.await_idle()
    assert waybill.ask("SELECT state, dialect FROM jobs") == [("completed", "messages")] * 2
    waybill.audit()
