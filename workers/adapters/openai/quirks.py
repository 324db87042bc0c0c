"""The deviations of vendors from OpenAI's wire.

A vendor's row in the catalogue lists its quirks (`Upstream.quirks`). No code tests for a vendor's
name. Every known variation of an answer is read without a quirk, except where the answer does not
show the variation (`REASONING_APART`).
"""

from enum import StrEnum


class OpenAiQuirk(StrEnum):
    """One deviation from the wire."""

    MAX_TOKENS = "max_tokens"
    """Accepts only `max_tokens` (Mistral, DeepSeek, Perplexity, Together, Ollama, older vLLM)."""

    MAX_COMPLETION_TOKENS = "max_completion_tokens"
    """Refuses `max_tokens` on its reasoning models (OpenAI, Azure)."""

    NO_STREAM_OPTIONS = "no_stream_options"
    """Refuses `stream_options`; sends usage anyway or never (Mistral, Perplexity)."""

    NO_DEVELOPER_ROLE = "no_developer_role"
    """Accepts `system` but not `developer` (nearly all but OpenAI, Azure and OpenRouter)."""

    TEXT_CONTENT = "text_content"
    """Refuses a list of parts where all of them are text (older vLLM, some Azure models)."""

    REASONING_OBJECT = "reasoning_object"
    """Takes OpenRouter's `reasoning` object, and its own reasoning back in messages (OpenRouter,
    Vercel). Without it, `reasoning.effort` becomes `reasoning_effort`, `none` where reasoning is
    turned off and no other quirk says how."""

    REASONING_CONTENT = "reasoning_content"
    """Wants an assistant message's reasoning back as `reasoning_content` (DeepSeek, Z.ai, Moonshot:
    their thinking models fail in a tool loop without it), and turns reasoning on and
    off by `thinking: {"type": "enabled" | "disabled"}`."""

    ENABLE_THINKING = "enable_thinking"
    """Turns reasoning on and off by `enable_thinking: true | false` (Alibaba, SiliconFlow)."""

    TEMPLATE_THINKING = "template_thinking"
    """Turns reasoning on and off by the chat template's arguments, `chat_template_kwargs` (vLLM,
    SGLang, llama.cpp)."""

    OPENROUTER_FIELDS = "openrouter_fields"
    """Knows the fields that OpenRouter added to OpenAI's: `image_config`, `max_tool_calls`,
    `stop_server_tools_when` and more (OpenRouter, another Waybill)."""

    OPENAI_HINTS = "openai_hints"
    """Takes OpenAI's hints: `prompt_cache_key`, `prompt_cache_retention`, `safety_identifier` and
    `verbosity` (OpenAI, Azure). Others do not get them, see `broker/requests/hints.py`."""

    GRAMMAR = "grammar"
    """Takes a `response_format` of type `grammar` (Fireworks)."""

    FOUR_STOPS = "four_stops"
    """Refuses more than four stop sequences (OpenAI, Azure, Groq, Cerebras)."""

    CACHE_CONTROL = "cache_control"
    """Takes Anthropic's prompt-cache markers (OpenRouter, Vercel, Alibaba, Databricks). Strict
    vendors answer them with 400 (Groq: "property 'cache_control' is unsupported")."""

    RANDOM_SEED = "random_seed"
    """Calls `seed` `random_seed` (Mistral)."""

    SHORT_TOOL_IDS = "short_tool_ids"
    """Accepts only nine letters and digits as a tool call's id (Mistral), also for calls that
    another provider made earlier in the conversation."""

    API_KEY_HEADER = "api_key_header"
    """Takes the key as `api-key: …` instead of a bearer token (Azure)."""

    DEPLOYMENT_URL = "deployment_url"
    """Names the model in the path: `/openai/deployments/{model}/chat/completions` (Azure)."""

    INT8_EMBEDDINGS = "int8_embeddings"
    """Answers embeddings as base64 of signed bytes, at `/v1/embeddings` (Perplexity)."""

    JSON_IMAGE_EDITS = "json_image_edits"
    """Takes edits of images as JSON with `image.url`, and aspect ratios in place of sizes (xAI)."""

    IMAGE_DIMENSIONS = "image_dimensions"
    """Takes `width` and `height` of images in place of `size`, and pictures to work from as
    `image_url` of a generation (Together)."""

    REASONING_APART = "reasoning_apart"
    """Counts reasoning tokens beside `completion_tokens`, and not in `total_tokens` either, but
    bills them (Vercel's AI Gateway)."""

    BACKGROUND = "background"
    """Makes answers of the Responses API in the background where that is requested (OpenAI, Azure):
    they survive a lost connection. The provider stores such an answer."""

    INLINE_MEDIA = "inline_media"
    """Takes images and videos as data URIs only, or would fetch URLs from inside our own network,
    past our guard (Ollama, vLLM, SGLang, LM Studio, llama.cpp)."""
