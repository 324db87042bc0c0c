"""One model is one slug, however its hosts write it."""

import pytest

from broker.catalog.names import SUFFIX, Namer, list_family, load_slug_table, parse_name
from broker.catalog.priced import list_priced_slugs
from broker.catalog.vendor_facts import find_abilities


@pytest.fixture(scope="module")
def namer():
    return Namer(list_priced_slugs())


@pytest.mark.parametrize(
    ("slug", "spellings"),
    [
        (
            "meta-llama/llama-3.3-70b-instruct",
            [
                "llama-3.3-70b-versatile",  # Groq
                "llama-3.3-70b",  # Cerebras
                "meta-llama/Llama-3.3-70B-Instruct-Turbo",  # Together, DeepInfra
                "accounts/fireworks/models/llama-v3p3-70b-instruct",
                "meta.llama3-3-70b-instruct-v1:0",  # Bedrock
                "@cf/meta/llama-3.3-70b-instruct-fp8-fast",  # Cloudflare
                "databricks-meta-llama-3-3-70b-instruct",
                "Meta-Llama-3_3-70B-Instruct",  # OVHcloud
                "Meta-Llama-3.3-70B-Instruct",  # SambaNova
            ],
        ),
        ("openai/gpt-oss-120b", ["gpt-oss-120b", "openai.gpt-oss-120b-1:0", "openai/gpt-oss-120b"]),
        ("deepseek/deepseek-v3.2", ["deepseek-ai/DeepSeek-V3.2", "deepseek-v3p2", "deepseek.v3.2"]),
        ("z-ai/glm-4.7", ["zai-glm-4.7", "zai-org/GLM-4.7", "accounts/fireworks/models/glm-4p7"]),
        ("moonshotai/kimi-k2.5", ["moonshotai/Kimi-K2.5", "@cf/moonshotai/kimi-k2.5", "kimi-k2p5"]),
        ("qwen/qwen3-coder", ["Qwen/Qwen3-Coder-480B-A35B-Instruct", "qwen-3-coder-480b"]),
        ("mistralai/mistral-nemo", ["mistralai/Mistral-Nemo-Instruct-2407", "open-mistral-nemo"]),
        (
            "anthropic/claude-haiku-4.5",
            [
                "claude-haiku-4-5",
                "claude-haiku-4-5-20251001",
                "global.anthropic.claude-haiku-4-5-20251001-v1:0",
                "claude-haiku-4-5@20251001",  # Vertex AI
            ],
        ),
        ("openai/gpt-4o", ["gpt-4o", "gpt-4o-2024-08-06"]),
    ],
)
def test_the_spellings_of_hosts_lead_to_one_slug(namer, slug, spellings):
    assert {spelling: namer.find(spelling) for spelling in spellings} == dict.fromkeys(
        spellings, slug
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-5.1", "gpt-5"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "Qwen/Qwen3-Next-80B-A3B-Thinking"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", "Qwen/Qwen3-235B-A22B-Thinking-2507"),
        ("deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Pro"),
        ("llama-3.1-8b-instant", "llama-3.1-70b-versatile"),
        ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
        ("grok-4-fast-reasoning", "grok-4-fast-non-reasoning"),
        ("openai/gpt-4o-2024-05-13", "openai/gpt-4o"),  # has prices of its own
    ],
)
def test_models_that_differ_stay_two(namer, one, other):
    assert namer.make_slug(one, author="x") != namer.make_slug(other, author="x")


def test_another_authors_model_of_the_same_name_is_another_model(namer):
    assert namer.find("acme/gpt-4o") is None


def test_a_name_that_nobody_knows_becomes_a_slug_that_the_next_host_finds():
    namer = Namer(())
    assert namer.make_slug("acme/Novel-7B-Instruct-FP8", author="x") == "acme/novel-7b-instruct-fp8"
    assert namer.make_slug("Novel-7B", author="acme") == "acme/novel-7b-instruct-fp8"


def test_a_name_tells_the_quantization():
    assert parse_name("zai-org/GLM-5.1-FP8").quantization == "fp8"
    assert parse_name("gpt-4o").quantization is None


def test_the_newest_of_a_family_is_by_number_not_by_letter():
    slugs = ["anthropic/claude-opus-4.5", "anthropic/claude-opus-4.10", "anthropic/claude-opus-4",
             "anthropic/claude-opus-9-fast", "anthropic/claude-sonnet-9"]  # fmt: skip
    assert list_family("anthropic/claude-opus-latest", slugs) == [
        "anthropic/claude-opus-4.10", "anthropic/claude-opus-4.5", "anthropic/claude-opus-4",
    ]  # fmt: skip
    assert list_family("anthropic/claude-opus", slugs) == []
    assert list_family("acme/small-latest", slugs) == []


def test_every_family_that_moves_has_a_member():
    known = set(list_priced_slugs()) | {"mistralai/mistral-large-4"}
    moving = [f"{family}{SUFFIX}" for family in load_slug_table()["latest"]]
    assert [name for name in moving if not list_family(name, known)] == []


@pytest.mark.parametrize(
    ("slug", "inputs", "outputs"),
    [
        ("openai/gpt-4o", {"text", "image", "file"}, None),
        ("google/gemini-3.8-flash", {"text", "image", "file", "audio", "video"}, None),
        ("openai/text-embedding-3-small", {"text"}, ("embeddings",)),
        ("openai/gpt-image-2", {"text", "image"}, ("image",)),
        ("openai/whisper-1", {"audio"}, ("transcription",)),
    ],
)
def test_a_family_tells_what_a_model_can_do(slug, inputs, outputs):
    found = find_abilities(slug)
    assert set(found.input) == inputs
    assert found.output == outputs


def test_nothing_is_known_of_a_family_that_is_not_listed():
    assert find_abilities("acme/small").input is None
    assert find_abilities("acme/small").parameters is None
