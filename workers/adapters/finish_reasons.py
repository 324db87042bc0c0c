"""Finish reasons: one table from every vendor's words to OpenAI's, for all wires.

Vendors serve each other's models, so any wire may carry any vendor's word: Google's words come
through OpenAI-compatible endpoints, Anthropic's come through Bedrock. A word that the table does
not know becomes `error`: an answer that may be cut or blocked must not look complete. The native
word is always kept beside it.
"""

_WORDS: dict[str, tuple[str, ...]] = {
    "stop": (
        *("stop", "end", "done", "finished", "finish", "complete", "completed", "success"),
        *("eos", "eos_token", "stop_token", "stop_word", "stop_sequence", "end_turn", "normal"),
        *("finish_reason_stop", "natural"),
        "pause_turn",  # Anthropic: a turn with server tools, which the next request continues
    ),
    "length": (
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_length"),
        *("max_new_tokens", "token_limit", "length_limit", "truncated", "incomplete"),
        *("finish_reason_max_tokens", "finish_reason_length"),
        "model_length",  # Mistral
        *("model_context_window_exceeded", "context_window_exceeded", "context_length_exceeded"),
        "error_limit",  # Cohere, version 1
    ),
    "tool_calls": (
        *("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
        "finish_reason_tool_calls",
    ),
    "content_filter": (
        *("content_filter", "content_filtered", "content_policy_violation", "filtered", "blocked"),
        *("safety", "finish_reason_safety", "refusal", "refused", "moderation"),
        "sensitive",  # Z.ai
        "guardrail_intervened",  # Bedrock
        "error_toxic",  # Cohere, version 1
        # Google (ai.google.dev/api/generate-content#FinishReason)
        *("recitation", "language", "blocklist", "prohibited_content", "spii", "image_safety"),
        *("image_prohibited_content", "image_recitation", "model_armor", "jailbreak"),
    ),
    "error": (
        *("error", "failed", "cancelled", "canceled", "timeout", "user_cancel"),
        "network_error",  # Z.ai
        "insufficient_system_resource",  # DeepSeek
        "abort",  # vLLM
        *("malformed_model_output", "malformed_tool_use"),  # Bedrock
        # Google
        *("malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"),
        *("malformed_response", "missing_thought_signature", "no_image", "image_other", "other"),
        "finish_reason_unspecified",
    ),
}
_TABLE = {word: reason for reason, words in _WORDS.items() for word in words}


def finish_reason(native: object, *, called: bool) -> str:
    """Return OpenAI's word for a vendor's finish reason.

    `called`: the answer has tool calls for the caller. A forced call ends in `stop` at OpenAI
    itself, but clients look for `tool_calls`. An absent or empty word means a natural end: the
    protocol itself said that the answer is whole.
    """
    if native is None or native == "":
        word = "stop"
    else:
        word = _TABLE.get(native.strip().lower(), "error") if isinstance(native, str) else "error"
    return "tool_calls" if word == "stop" and called else word
