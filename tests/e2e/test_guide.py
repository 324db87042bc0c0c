"""The samples of a guide to OpenRouter run here as they are written, and so do our own.

`WAYBILL_TEST_GUIDE` names the text of a guide, which is not part of this repository. Of a sample
only base URL, key and placeholder models are changed; lost indentation and quotes are put back,
and what a sample takes from elsewhere (`ENDPOINT`, `data`, a file) is defined before it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PDF, PNG
from tests.e2e.guide import indented, pointed_at, samples
from tests.installation import KEY, Installation
from tests.stacks import any_stack

pytestmark = any_stack

GUIDE = Path(
    os.environ.get("WAYBILL_TEST_GUIDE")
    or Path(__file__).parents[3] / "shared/reference/openrouter-guide.txt"
)
PLACEHOLDERS = {
    "primary-model": "gone/sim",
    "secondary-model": "sim/sim-500",
    "tertiary-model": "sim/sim-echo",
}
MODELS = """
[[models]]
slug = "openai/gpt-4o"
input_modalities = ["text", "image", "file"]
endpoints = [{ provider = "sim", model = "sim", prompt = "2.5", completion = "10" }]
[[models]]
slug = "openai/gpt-5"
endpoints = [{ provider = "sim", model = "sim-echo", prompt = "1.25", completion = "10" }]
[[models]]
slug = "openai/dall-e-3"
output_modalities = ["image"]
endpoints = [{ provider = "sim", model = "sim", image_output = "0.04" }]
"""
GIVEN = """
import base64, requests
BASE_URL = {url!r}
ENDPOINT = BASE_URL + {path!r}
headers = {{"Authorization": "Bearer {key}"}}
data = {{"model": "sim/sim-echo", "prompt": "Say hello"}}
"""
SENT = """
response = requests.post(ENDPOINT, headers=headers, json=payload)
response.raise_for_status()
print(response.json()["choices"][0]["message"]["content"])
"""
SENT_BY_NODE = """
const response = await fetch(process.env.ENDPOINT, {
  method: 'POST',
  headers: { Authorization: `Bearer ${process.env.KEY}` },
  body: JSON.stringify(payload),
});
if (!response.ok) throw new Error(await response.text());
console.log((await response.json()).choices[0].message.content);
"""
OWN = {
    "requests": """
import requests
answer = requests.post(
    "https://openrouter.ai/api/v1/chat/completions",
    headers={"Authorization": "Bearer your-api-key"},
    json={"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hi"}]},
)
print(answer.json()["choices"][0]["message"]["content"], answer.json()["usage"]["total_tokens"])
""",
    "router": """
import requests
answer = requests.post(
    "https://openrouter.ai/api/v1/chat/completions",
    headers={"Authorization": "Bearer your-api-key"},
    json={
        "model": "openrouter/auto",
        "routing": {"strategy": "cost"},
        "messages": [{"role": "user", "content": "Hi"}],
    },
)
print(answer.json()["model"], answer.json()["choices"][0]["message"]["content"])
""",
    "stream": """
from openai import OpenAI
client = OpenAI(base_url="https://openrouter.ai/api/v1", api_key="your-api-key")
messages = [{"role": "user", "content": "one two three"}]
for part in client.chat.completions.create(model="openai/gpt-5", messages=messages, stream=True):
    print(part.choices[0].delta.content or "", end="")
""",
    "fallbacks": """
import requests
answer = requests.post(
    "https://openrouter.ai/api/v1/chat/completions",
    headers={"Authorization": "Bearer your-api-key"},
    json={
        "model": "primary-model",
        "route": {"fallbacks": ["secondary-model", "tertiary-model"]},
        "messages": [{"role": "user", "content": "one two three"}],
    },
)
print(answer.json()["choices"][0]["message"]["content"])
""",
}


@pytest.fixture(scope="module")
def shop() -> Iterator[Installation]:
    """An installation that has the models of the guide."""
    with Installation(config=MODELS) as installation:
        yield installation


def guide_samples() -> list[str]:
    return samples(GUIDE.read_text(encoding="utf-8")) if GUIDE.exists() else []


def program(sample: str, installation: Installation) -> str:
    """Return a Python sample as a program."""
    changed = pointed_at(sample, installation.url, KEY, PLACEHOLDERS)
    path = "/completions" if '["text"]' in sample else "/chat/completions"
    given = GIVEN.format(url=installation.url, path=path, key=KEY)
    is_alone = "payload = " not in sample or "requests.post" in sample
    return "\n".join([given, indented(changed), "" if is_alone else SENT])


def node_program(sample: str, installation: Installation) -> str:
    """Return a JavaScript sample as a program, with the quotes of its template put back."""
    changed = pointed_at(sample, installation.url, KEY, PLACEHOLDERS)
    changed = changed.replace(
        "url: data:image/jpeg;base64,${base64Image}",
        "url: `data:image/jpeg;base64,${base64Image}`",
    )
    return f"import fs from 'node:fs';\n{changed}\n{SENT_BY_NODE}"


def ran(command: list[str], directory: Path, **more: str) -> str:
    """Run a program that must succeed; return what it printed."""
    environment = {"PATH": os.environ["PATH"], **more}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(source: str, directory: Path) -> str:
    """Run a program beside the files that samples read."""
    (directory / "document.pdf").write_bytes(PDF)
    told = ran([sys.executable, "-c", source], directory)
    assert told.strip()
    assert "Error:" not in told
    assert "failed" not in told
    return told


@pytest.mark.parametrize("name", OWN)
def test_a_sample_of_our_own_runs(shop: Installation, tmp_path: Path, name: str) -> None:
    source = pointed_at(OWN[name], shop.url, KEY, PLACEHOLDERS)
    told = run_python(source, tmp_path)
    if name in {"stream", "fallbacks"}:
        assert told.strip() == "one two three"


@pytest.mark.skipif(not GUIDE.exists(), reason=f"no guide at {GUIDE} (set WAYBILL_TEST_GUIDE)")
@pytest.mark.parametrize("place", range(9))
def test_a_sample_of_the_guide_runs_as_it_is_written(
    shop: Installation, tmp_path: Path, place: int
) -> None:
    found = guide_samples()
    assert len(found) == 9
    sample = found[place]
    if not sample.startswith("const"):
        run_python(program(sample, shop), tmp_path)
        return
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    (tmp_path / "path/to").mkdir(parents=True)
    (tmp_path / "path/to/image.jpg").write_bytes(PNG)
    script = tmp_path / "sample.mjs"
    script.write_text(node_program(sample, shop))
    endpoint = f"{shop.url}/chat/completions"
    assert ran([node, str(script)], tmp_path, ENDPOINT=endpoint, KEY=KEY).strip()
