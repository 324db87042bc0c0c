"""Classify refusals of many vendors: a rate, a budget, a size, a missing feature.

The messages are retold from what vendors answer; the words that decide are theirs.
"""

import json

import pytest

from broker.completion import ErrorType
from broker.lifecycle.retries import GiveUp, Retry, Situation, decide
from broker.routing import Plan, PlanStep
from tests.factories import make_endpoint
from workers.adapters.errors import read_error

RATE = ErrorType.RATE_LIMIT_EXCEEDED
MONEY = ErrorType.PAYMENT_REQUIRED
SIZE = ErrorType.TOKEN_LIMIT_EXCEEDED
CONTEXT = ErrorType.CONTEXT_LENGTH_EXCEEDED
SLUGS = ("alpha", "beta")
MISSING = ErrorType.UNPROCESSABLE
BUSY = ErrorType.PROVIDER_OVERLOADED
GONE = ErrorType.NOT_FOUND


def error(message, **fields):
    return {"error": {"message": message, **fields}}


RATES = [
    (429, error("Rate limit reached for m in organization o on tokens per min (TPM): Limit 30000, "
                "Used 29500, Requested 1200. Please try again in 1.4s.", type="tokens",
                code="rate_limit_exceeded")),
    (429, error("Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, Requested 1. "
                "Please try again in 20s. You can raise your limit by adding a payment method to "
                "your account.", code="rate_limit_exceeded")),
    (429, error("Rate limit reached for m on tokens per day (TPD): Limit 500000, Used 499000, "
                "Requested 2000. Upgrade your plan for a higher monthly allowance.")),
    (429, error("This request would exceed the rate limit of your organization of 40,000 input "
                "tokens per minute.", type="rate_limit_error")),
    (429, error("Number of request tokens has exceeded your per-minute rate limit")),
    (429, error("You exceeded your current quota, please check your plan and billing details. "
                "Quota exceeded for metric: generate_content_requests, limit: 15. Please retry in "
                "22s.", status="RESOURCE_EXHAUSTED")),
    (429, {"message": "You are using a Trial key, limited to 20 API calls / minute."}),
    (429, {"message": "Requests rate limit exceeded"}),
    (429, {"detail": "Too many requests. Your limit is 60 requests per minute. Add credits for "
                     "more."}),
    (429, error("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free "
                "model requests per day", code=429)),
    (429, {"message": "Too many tokens, please wait before trying again."}),
    (429, error("Tokens per minute limit exceeded - too many tokens processed.",
                type="too_many_tokens_error")),
    (429, "slow down"),
]  # fmt: skip

BUDGETS = [
    (429, error("You have reached your monthly spending limit.", type="rate_limit_error")),
    (429, error("Monthly usage limit exceeded for this organization.")),
    (429, error("The project has exceeded its monthly spending cap.",
                status="RESOURCE_EXHAUSTED", code=429)),
    (429, error("Your prepayment credits are depleted.", status="RESOURCE_EXHAUSTED")),
    (429, {"message": "You are using a Trial key, limited to 1000 API calls / month."}),
    (429, {"message": "Your team has either used all available credits or reached its monthly "
                      "spending limit."}),
    (429, error("Your account is suspended, please check your plan and billing details",
                type="exceeded_current_quota_error")),
    (429, error("Weekly/Monthly Limit Exhausted. It resets at 2026-12-01.", code="1310")),
    (429, error("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0",
                type="budget_exceeded")),
    (400, error("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0",
                type="budget_exceeded")),
    (429, error("Organization quota used up: 1,000,000 tokens per month.")),
    (429, error("Spend limit reached. Raise the limit in your settings.")),
    (400, error("The organization's access was stopped after the spend alert.",
                code="blocked_api_access")),
    (429, error("You have used up your daily free allocation of 10,000 neurons, upgrade to a paid "
                "plan")),
    (429, {"detail": "Quota exceeded and account balance is $0.0, please top up"}),
    (403, error("Key limit exceeded (monthly limit).", code=403)),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}),
    (403, {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the model has been "
           "exhausted."}),
    (412, error("Account a is suspended, possibly due to reaching the monthly spending limit")),
    (402, {"error": "You have exceeded your monthly included credits"}),
    (429, error("insufficient funds", code="NOT_ENOUGH_BALANCE")),
    (429, error("Credit limit reached for this key")),
    (429, {"message": "Please add a payment method to go on using this model."}),
]  # fmt: skip

SIZES = [
    (429, error("Request too large for model-x on tokens per min (TPM): Limit 30000, Requested "
                "90000. Send fewer tokens.", type="tokens", code="rate_limit_exceeded")),
    (429, error("Rate limit reached on tokens per min: Limit: 10,000, Used: 0, Requested: 12,500."
                " Please try again in 15s.")),
    (413, error("Request too large for model `m` in organization `o` service tier `on_demand` on "
                "tokens per minute (TPM): Limit 6000, Requested 9100, please reduce your message "
                "size and try again.", type="tokens", code="rate_limit_exceeded")),
    (429, error("This request exceeds the maximum tokens per minute of your deployment.")),
    (429, error("Request is too big for your rate limit.")),
]  # fmt: skip

TOO_LONG = [
    (400, error("The total length of all messages is too long.", type="too_many_prompt_tokens",
                code=400)),  # Perplexity
    (400, error("x", type="too_many_prompt_tokens")),
    # llama.cpp
    (500, error("the request exceeds the available context size. try increasing the context size",
                code=500, type="server_error")),
    (500, error("input is too large to process. increase the physical batch size", code=500,
                type="server_error")),
    (400, error("request (9000 tokens) exceeds the available context size (4096 tokens)",
                code=400, type="exceed_context_size_error", n_ctx=4096)),
    (500, error("input is larger than the max context size. skipped", code=500)),
    # vLLM, SGLang
    (400, {"object": "error", "type": "BadRequestError", "code": 400,
           "message": "The decoder prompt (length 5000) is longer than the maximum model length of "
                      "4096."}),
    (400, {"object": "error", "type": "BadRequestError", "code": 400,
           "message": "You passed 5001 input tokens and requested 100 output tokens. However, the "
                      "model's context length is only 4096 tokens. Please reduce the length of "
                      "the input prompt"}),
    (400, error("Requested token count exceeds the model's maximum context length of 32768 tokens.",
                code=400)),
    (400, {"message": "Input length (9000 tokens) exceeds the maximum allowed length (8192 "
                      "tokens)."}),
    # Ollama
    (400, {"error": "the input length exceeds the context length"}),
    (500, {"error": "input length exceeds maximum context length"}),
    # LM Studio
    (400, {"error": "Trying to keep the first 5000 tokens when context the overflows. However, the "
                    "model is loaded with context length of only 4096 tokens"}),
    (400, {"error": "The number of tokens to keep from the initial prompt is greater than the "
                    "context length."}),
    (400, {"error": "Reached context length of 4096 tokens with this model"}),
    # text-generation-inference
    (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 5000",
           "error_type": "validation"}),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
           "error_type": "validation"}),
]  # fmt: skip

NOT_THERE = [
    (501, error("This server does not support embeddings. Start it with `--embeddings`", code=501,
                type="not_supported_error")),
    (501, ""),
    (501, error("This feature is disabled", code=501)),
    (500, error("tools param requires --jinja flag", code=500, type="server_error")),
    (500, error("Unsupported param: tools", code=500, type="server_error")),
    (500, error("image input is not supported - hint: if this is unexpected, you may need to "
                "provide the mmproj", code=500, type="server_error")),
    (500, error("Conversation roles must alternate user/assistant/user/assistant", code=500)),
    (500, error("Failed to parse grammar", code=500)),
    (500, {"error": "model requires more system memory (8.5 GiB) than is available (5.2 GiB)"}),
    (500, {"error": "failed to process inputs: this model is missing data required for image "
                    "input"}),
    (500, {"error": "this model does not support embeddings"}),
]  # fmt: skip

PASSING = [
    (503, error("Loading model", code=503, type="unavailable_error")),
    (503, {"error": "server busy, please try again. maximum pending requests exceeded"}),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    (500, {"error": "CUDA error: out of memory"}),
]  # fmt: skip

UNLOADED = [
    (404, error("model 'm' not found, try pulling it first", type="api_error")),
    (400, error("No models loaded. Please load a model in the developer page.")),
    (400, {"error": "Model unloaded."}),
]  # fmt: skip

TABLE = [
    (status, body, expected)
    for rows, expected in (
        (RATES, RATE), (BUDGETS, MONEY), (SIZES, SIZE), (TOO_LONG, CONTEXT), (NOT_THERE, MISSING),
        (PASSING, BUSY), (UNLOADED, GONE),
    )
    for status, body in rows
]  # fmt: skip
OTHERS = [
    # words of money in a request's own fault
    (400, error("`max_tokens` must be greater than `thinking.budget_tokens`.")),
    (400, error("The thinking budget 40000 is over the limit of 24576.")),
    (400, error("Unsupported parameter: 'max_tokens' is not supported with this model.")),
]


def failure_of(status, body, headers=None):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return read_error(status, headers or {}, data)


@pytest.mark.parametrize(("status", "body", "expected"), TABLE)
def test_each_kind_of_refusal_is_told_from_the_others(status, body, expected):
    assert failure_of(status, body).error_type is expected


@pytest.mark.parametrize(("status", "body"), OTHERS)
def test_a_fault_of_the_request_stays_one(status, body):
    own = {ErrorType.INVALID_REQUEST, ErrorType.MAX_TOKENS_EXCEEDED}
    assert failure_of(status, body).error_type in own


def follows(failure, places, position=0):
    situation = Situation(
        plan=Plan([PlanStep(make_endpoint(slug), "why") for slug in SLUGS[:places]]),
        position=position,
        attempts_used=1,
        tries_here=1,
        max_attempts=5,
        seconds_left=600,
    )
    return decide(failure, situation, chance=0.5)


@pytest.mark.parametrize(
    ("status", "body"), [*BUDGETS, *SIZES, *TOO_LONG, *NOT_THERE, *UNLOADED]
)  # fmt: skip
def test_what_no_waiting_cures_is_asked_once(status, body):
    assert follows(failure_of(status, body, {"retry-after": "30"}), 1) == GiveUp()


@pytest.mark.parametrize(("status", "body"), [*BUDGETS, *SIZES, *NOT_THERE, *UNLOADED, *RATES])
def test_another_endpoint_is_asked_at_once(status, body):
    assert follows(failure_of(status, body, {"retry-after": "30"}), 2) == Retry(1)


@pytest.mark.parametrize(("status", "body"), [*RATES, *PASSING])
def test_what_passes_is_asked_again(status, body):
    assert isinstance(follows(failure_of(status, body), 1), Retry)
