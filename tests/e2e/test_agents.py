"""Coding agents and agent frameworks as they are published, mostly over POST /responses.

They know only the address, the key and the model's slug.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import programs
from tests.installation import KEY, Installation
from tests.stacks import any_stack

pytestmark = any_stack

CODEX = """
model = "sim/sim-tools"
model_provider = "waybill"
web_search = "disabled"

[model_providers.waybill]
name = "Waybill"
base_url = "{url}"
env_key = "WAYBILL_API_KEY"
wire_api = "responses"
"""


MCP_SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    schema = {"type": "object", "properties": {"what": {"type": "string"}}}
    about = {"protocolVersion": asked.get("params", {}).get("protocolVersion"),
             "capabilities": {"tools": {}}, "serverInfo": {"name": sys.argv[1], "version": "1"}}
    results = {
        "initialize": about,
        "tools/list": {"tools": [{"name": "find", "description": "Find.", "inputSchema": schema}]},
        "tools/call": {"content": [{"type": "text", "text": sys.argv[1] + " found it"}]},
    }
    if "id" in asked:
        result = results.get(asked["method"], {})
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


class Codex:
    """Codex with an own configuration and directory."""

    def __init__(self, installation: Installation, directory: Path) -> None:
        self._installation = installation
        self._home = directory
        self._program = f"{programs.find_package('@openai/codex')}/.bin/codex"
        self._config = CODEX.format(url=installation.url)
        self.work = directory / "work"
        self.work.mkdir()
        self.calls = programs.Calls()

    def add_mcp_server(self, name: str) -> None:
        server = self._home / "server.py"
        server.write_text(MCP_SERVER)
        command = f'command = "{sys.executable}"\nargs = ["{server}", "{name}"]\n'
        self._config += f"\n[mcp_servers.{name}]\n{command}"

    def run(self, task: str, *, model: str = "sim/sim-tools") -> list[dict[str, Any]]:
        """Run a task to its end; return the events that it printed."""
        (self._home / "config.toml").write_text(self._config)
        options = ["--skip-git-repo-check", "--sandbox", "danger-full-access", "--json"]
        environment = {"CODEX_HOME": str(self._home), "WAYBILL_API_KEY": KEY}
        command = [self._program, "exec", *options, "--model", model, task]
        with programs.charged_once(self._installation) as self.calls:
            printed = programs.run(self._installation, command, self.work, environment)
        return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


@pytest.fixture
def codex(installation: Installation, tmp_path: Path) -> Codex:
    return Codex(installation, tmp_path)


def completed(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    items = [each["item"] for each in events if each["type"] == "item.completed"]
    return [each for each in items if each["type"] == kind]


def test_codex_runs_a_command(codex: Codex) -> None:
    events = codex.run("""exec_command({"cmd": "echo Good day > said.txt; cat said.txt"})""")
    [ran] = completed(events, "command_execution")
    assert (ran["exit_code"], ran["aggregated_output"].strip()) == (0, "Good day")
    assert (codex.work / "said.txt").read_text() == "Good day\n"
    [said] = completed(events, "agent_message")
    assert said["text"].startswith("The tool answered: ")
    usage = events[-1]["usage"]
    assert usage["input_tokens"] + usage["output_tokens"] == codex.calls.tokens
    assert len(codex.calls.jobs) == 2


def test_codex_calls_tools_of_mcp_servers_with_the_same_name(codex: Codex) -> None:
    codex.add_mcp_server("one")
    codex.add_mcp_server("two")
    events = codex.run("""mcp__two__find({"what": "it"})""")
    [called] = completed(events, "mcp_tool_call")
    assert (called["server"], called["tool"], called["status"]) == ("two", "find", "completed")
    assert "two found it" in completed(events, "agent_message")[0]["text"]
    assert len(codex.calls.jobs) == 2


def test_codex_searches_for_tools(codex: Codex) -> None:
    codex.add_mcp_server("one")
    events = codex.run("""tool_search({"query": "find"})""", model="codex/gpt-5.5")
    [said] = completed(events, "agent_message")
    assert said["text"] == 'The tool answered: {"tools":["find"]}'
    assert len(codex.calls.jobs) == 2


OPENAI_AGENTS = """
import asyncio, json, os
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=os.environ["URL"], api_key=os.environ["KEY"], max_retries=0)

@function_tool
def weather(city: str) -> str:
    return f"sunny in {city}"

model = OpenAIResponsesModel("sim/sim-tools", client)
agent = Agent(name="Guide", instructions="Be brief.", model=model, tools=[weather])

async def main():
    whole = await Runner.run(agent, "The weather in Paris?")
    streamed = Runner.run_streamed(agent, "The weather in Paris?")
    deltas = [
        event.data.delta async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    told = [
        [run.final_output, [item.raw_item.name for item in run.new_items
                            if item.type == "tool_call_item"]]
        for run in (whole, streamed)
    ]
    tokens = sum(run.context_wrapper.usage.total_tokens for run in (whole, streamed))
    print(json.dumps([*told, "".join(deltas), tokens]))

asyncio.run(main())
"""
ANSWER = "The tool answered: sunny in Paris"


def test_openai_agents_call_a_function(installation: Installation, tmp_path: Path) -> None:
    with programs.charged_once(installation) as calls:
        told = programs.run_python(installation, tmp_path, OPENAI_AGENTS)
    assert told == [[ANSWER, ["weather"]], [ANSWER, ["weather"]], ANSWER, calls.tokens]
    assert len(calls.jobs) == 4


LANGCHAIN = """
import json, os
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

def chat(model):
    return ChatOpenAI(model=model, base_url=os.environ["URL"], api_key=os.environ["KEY"],
                      use_responses_api=True, max_retries=0)

class Person(BaseModel):
    name: str
    age: int

def weather(city: str) -> str:
    "Return the weather of a city."
    return f"sunny in {city}"

whole = chat("sim/sim-echo").invoke("one two three")
first, *rest = chat("sim/sim-echo").stream("one two three")
streamed = sum(rest, first)
asked = [HumanMessage("The weather in Paris?")]
tools = chat("sim/sim-tools").bind_tools([weather])
called = tools.invoke(asked)
[call] = called.tool_calls
result = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
answered = tools.invoke([*asked, called, result])
person = chat("sim/sim-json").with_structured_output(Person, include_raw=True).invoke("Ada")
messages = [whole, streamed, called, answered, person["raw"]]
print(json.dumps([
    whole.text, streamed.text, len(rest) > 1, [call["name"], call["args"]], answered.text,
    person["parsed"].model_dump(), sum(each.usage_metadata["total_tokens"] for each in messages),
]))
"""


def test_langchain(installation: Installation, tmp_path: Path) -> None:
    with programs.charged_once(installation) as calls:
        told = programs.run_python(installation, tmp_path, LANGCHAIN)
    assert told == [
        "one two three", "one two three", True, ["weather", {"city": "Paris"}], ANSWER,
        {"name": "Ada", "age": 3}, calls.tokens,
    ]  # fmt: skip
    assert len(calls.jobs) == 5


PYDANTIC_AI = """
import asyncio, json, os
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=os.environ["URL"], api_key=os.environ["KEY"])

class Person(BaseModel):
    name: str
    age: int

agent = Agent(OpenAIResponsesModel("sim/sim-tools", provider=provider))

@agent.tool_plain
def weather(city: str) -> str:
    return f"sunny in {city}"

async def main():
    answered = await agent.run("The weather in Paris?")
    async with agent.run_stream("The weather in Paris?") as stream:
        streamed = await stream.get_output()
    model = OpenAIResponsesModel("sim/sim-json", provider=provider)
    native = await Agent(model, output_type=NativeOutput(Person)).run("Ada")
    by_tool = await Agent(model, output_type=Person).run("Ada")
    runs = [answered, stream, native, by_tool]
    print(json.dumps([
        answered.output, streamed, native.output.model_dump(), by_tool.output.model_dump(),
        sum(run.usage.total_tokens for run in runs),
    ]))

asyncio.run(main())
"""


def test_pydantic_ai(installation: Installation, tmp_path: Path) -> None:
    with programs.charged_once(installation) as calls:
        told = programs.run_python(installation, tmp_path, PYDANTIC_AI)
    ada = {"name": "Ada", "age": 3}
    assert told == [ANSWER, ANSWER, ada, ada, calls.tokens]
    assert len(calls.jobs) == 6


AI_SDK = """
import { %(create)s as create } from '%(package)s';
import { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const waybill = create({ baseURL: process.env.URL, apiKey: process.env.KEY });
const limit = { maxOutputTokens: 200 };
const echo = { model: waybill('sim/sim-echo'), prompt: 'one two three', ...limit };
const whole = await generateText(echo);
const stream = streamText(echo);
const parts = [];
for await (const part of stream.textStream) parts.push(part);
const weather = tool({
  description: 'The weather of a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const agent = await generateText({
  model: waybill('sim/sim-tools'), prompt: 'The weather in Paris?', tools: { weather },
  stopWhen: stepCountIs(3), ...limit,
});
const person = await generateObject({
  model: waybill('sim/sim-json'), prompt: 'Ada',
  schema: z.object({ name: z.string(), age: z.number() }), ...limit,
});
const usages = [whole.usage, await stream.usage, agent.totalUsage, person.usage];
const warned = (whole.warnings ?? []).filter(({ feature }) => feature !== 'maxOutputTokens');
console.log(JSON.stringify([
  whole.text, parts.join(''), parts.length > 1,
  agent.steps[0].toolCalls.map((call) => [call.toolName, call.input]), agent.text, person.object,
  warned, usages.reduce((sum, usage) => sum + usage.totalTokens, 0),
]));
"""


@pytest.mark.parametrize(
    ("package", "create"),
    [("@ai-sdk/openai", "createOpenAI"), ("@ai-sdk/anthropic", "createAnthropic")],
)
def test_the_ai_sdk(installation: Installation, tmp_path: Path, package: str, create: str) -> None:
    source = AI_SDK % {"package": package, "create": create}
    with programs.charged_once(installation) as calls:
        told = programs.run_node(installation, tmp_path, package, source)
    assert told == [
        "one two three", "one two three", True, [["weather", {"city": "Paris"}]], ANSWER,
        {"name": "Ada", "age": 3}, [], calls.tokens,
    ]  # fmt: skip
    assert len(calls.jobs) == 5
