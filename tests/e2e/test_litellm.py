"""LiteLLM's `openrouter/` provider, run by an interpreter of its own.

LiteLLM is large and has pins of its own, so it is not installed beside Waybill:
`WAYBILL_TEST_LITELLM_PYTHON` names an interpreter that has it, and CI makes one. Without it,
nothing of this is tested.
"""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.installation import KEY, Installation
from tests.stacks import any_stack

pytestmark = any_stack

PYTHON = os.environ.get("WAYBILL_TEST_LITELLM_PYTHON")
SCRIPT = """
import json, sys
import litellm
asked = json.loads(sys.argv[1])
messages = [{"role": "user", "content": "one two three"}]
chunks = list(litellm.completion(messages=messages, stream=True, **asked))
whole = litellm.stream_chunk_builder(chunks, messages=messages)
plain = litellm.completion(messages=messages, **asked)
print(json.dumps([
    {
        "text": answer.choices[0].message.content,
        "finish": answer.choices[0].finish_reason,
        "tokens": answer.usage.total_tokens,
        "cost": getattr(answer.usage, "cost", None),
    }
    for answer in (whole, plain)
]))
"""


@pytest.mark.skipif(not PYTHON, reason="WAYBILL_TEST_LITELLM_PYTHON is not set")
@pytest.mark.parametrize("provider", ["openrouter", "openai"])
@pytest.mark.parametrize("options", [{"include_usage": True}, None])
def test_litellm_gets_the_usage_and_cost_of_a_stream(
    installation: Installation, provider: str, options: dict[str, bool] | None
) -> None:
    asked: dict[str, Any] = {
        "model": f"{provider}/sim/sim-echo",
        "api_base": installation.url,
        "api_key": KEY,
    }
    if options is not None:
        asked["stream_options"] = options
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, "-c", SCRIPT, json.dumps(asked)],
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    streamed, plain = json.loads(done.stdout.splitlines()[-1])
    assert (plain["text"], plain["finish"]) == ("one two three", "stop")
    assert (streamed["text"], streamed["finish"]) == ("one two three", "stop")
    assert streamed["tokens"] > 0
    if options is not None:  # without them LiteLLM counts by itself
        assert (streamed["tokens"], streamed["cost"]) == (plain["tokens"], plain["cost"])
        assert streamed["cost"] > 0
