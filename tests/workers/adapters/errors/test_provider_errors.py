import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import AttemptOutcome, ErrorType
from workers.adapters.errors import read_error, read_reported_error

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["error", "message", "code", "detail", "type", "status", "metadata", "raw",
                         "errors", "details", "error_type", "x"]) | st.text(max_size=5),
        inner,
        max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after-ms", "x-ratelimit-reset", "X-Amzn-ErrorType"]),
    st.text(max_size=20) | st.sampled_from(["1e999", "nan", "-1", "9" * 400, "1m2.5s", "¹"]),
)


def named(status, body, headers=None):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return read_error(status, headers or {}, data)


SHAPES = [
    ({"error": {"message": "M", "type": "t", "param": None, "code": "c"}}, "M", "c"),
    ({"error": {"message": "M", "type": "t", "code": 400}}, "M", "t"),
    ({"error": {"message": "M", "code": 429}}, "M", "429"),
    ({"error": "M"}, "M", None),
    ({"code": "invalid-argument", "error": "M"}, "M", "invalid-argument"),
    ({"detail": "M"}, "M", None),
    ({"detail": [{"loc": ["body"], "msg": "M", "type": "missing"}]}, "M", "missing"),
    ({"id": "1", "message": "M"}, "M", None),
    ([{"error": {"code": 503, "message": "M", "status": "UNAVAILABLE"}}], "M", "UNAVAILABLE"),
    ({"message": "M"}, "M", None),
    ({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "msg": "M"}]},
      "type": "invalid_request_error"}, "M", "extra_forbidden"),
    ({"Message": "M"}, "M", None),
    ({"__type": "com.amazon.coral#AccessDeniedException", "message": "M"}, "M",
     "AccessDeniedException"),
    ({"type": "error", "error": {"type": "api_error", "message": "M"}}, "M", "api_error"),
    ({"object": "error", "message": "M", "type": "BadRequestError", "code": 400}, "M",
     "BadRequestError"),
    ({"success": False, "errors": [{"code": 7003, "message": "M"}]}, "M", "7003"),
    ({"error": {"code": 429, "message": "Provider returned error",
                "metadata": {"raw": "M", "provider_name": "P"}}},
     "Provider returned error: M", "429"),
    ("M", "M", None),
    ("<html><head><title>M</title></head><body>long</body></html>", "M", None),
    ("<p>M</p>", "M", None),
    ("", "HTTP 500 Internal Server Error", None),
    ("{}", "{}", None),
    ("null", "null", None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message", "code"), SHAPES)
def test_message_and_code_are_found_in_every_shape(body, message, code):
    failure = named(500, body)
    assert (failure.message, failure.provider_code) == (message, code)
    assert failure.outcome is AttemptOutcome.REJECTED
    assert failure.http_status == 500


NAMES = [
    # The status alone.
    (400, "no", ErrorType.INVALID_REQUEST),
    (401, "", ErrorType.AUTHENTICATION),
    (402, "Insufficient Balance", ErrorType.PAYMENT_REQUIRED),
    (403, "no", ErrorType.PERMISSION_DENIED),
    (404, "no", ErrorType.NOT_FOUND),
    (408, "", ErrorType.TIMEOUT),
    (409, "", ErrorType.PRECONDITION_FAILED),
    (412, "", ErrorType.PRECONDITION_FAILED),
    (413, "Request exceeds the maximum size", ErrorType.PAYLOAD_TOO_LARGE),
    (418, "", ErrorType.INVALID_REQUEST),
    (422, {"detail": [{"msg": "Input should be a valid string"}]}, ErrorType.UNPROCESSABLE),
    (429, "slow down", ErrorType.RATE_LIMIT_EXCEEDED),
    (500, "", ErrorType.PROVIDER_UNAVAILABLE),
    (502, "<html>Bad Gateway</html>", ErrorType.PROVIDER_UNAVAILABLE),
    (503, "Service Unavailable", ErrorType.PROVIDER_UNAVAILABLE),
    (504, "", ErrorType.TIMEOUT),
    (524, "", ErrorType.TIMEOUT),
    (529, {"error": {"type": "overloaded_error", "message": "Overloaded"}},
     ErrorType.PROVIDER_OVERLOADED),
    (599, "", ErrorType.PROVIDER_UNAVAILABLE),
    (302, "", ErrorType.UNMAPPED),
    # A wrong key is not always a 401.
    (400, {"code": "invalid-argument", "error": "Incorrect API key provided: xa***bc."},
     ErrorType.AUTHENTICATION),
    (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                     "status": "INVALID_ARGUMENT",
                     "details": [{"reason": "API_KEY_INVALID"}]}}, ErrorType.AUTHENTICATION),
    (403, {"message": "The security token included in the request is invalid."},
     ErrorType.AUTHENTICATION),
    (403, {"message": "The security token included in the request is expired",
           "__type": "ExpiredTokenException"}, ErrorType.AUTHENTICATION),
    # An empty account.
    (400, {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low "
                     "to access the Anthropic API."}}, ErrorType.PAYMENT_REQUIRED),
    (400, {"error": {"type": "invalid_request_error", "message": "You have reached your specified "
                     "API usage limits. You will regain access on 2025-06-01 at 00:00 UTC."}},
     ErrorType.PAYMENT_REQUIRED),
    (400, {"error": {"type": "invalid_request_error", "message": "You have reached your specified "
                     "workspace API usage limits. You will regain access on 2025-06-01 at 00:00 "
                     "UTC."}}, ErrorType.PAYMENT_REQUIRED),
    (400, {"error": {"type": "invalid_request_error", "message": "This request would exceed your "
                     "account's workspace spend limit."}}, ErrorType.PAYMENT_REQUIRED),
    (429, {"error": {"type": "rate_limit_error", "message": "This request would exceed your "
                     "account's rate limit. Please try again later."}},
     ErrorType.RATE_LIMIT_EXCEEDED),
    (429, {"error": {"message": "You have exceeded your usage limit of 30 requests per minute."}},
     ErrorType.RATE_LIMIT_EXCEEDED),
    (400, {"error": {"type": "invalid_request_error", "message": "This organization has been "
                     "disabled."}}, ErrorType.AUTHENTICATION),
    (429, {"error": {"message": "You exceeded your current quota, please check your plan and "
                     "billing details.", "type": "insufficient_quota",
                     "code": "insufficient_quota"}}, ErrorType.PAYMENT_REQUIRED),
    (429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your "
                     "current quota, please check your plan and billing details."}},
     ErrorType.RATE_LIMIT_EXCEEDED),
    (403, {"code": "forbidden", "error": "Your newly created team doesn't have any credits yet."},
     ErrorType.PAYMENT_REQUIRED),
    (429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package. "
                     "Please recharge."}}, ErrorType.PAYMENT_REQUIRED),
    # The context is full: OpenAI, Anthropic, Google, vLLM, sglang, Mistral, Cohere, Bedrock, xAI,
    # TGI, llama.cpp.
    (400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, your "
                     "messages resulted in 9000 tokens.", "code": "context_length_exceeded"}},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"error": {"message": "Your input exceeds the context window of this model."}},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"error": {"type": "invalid_request_error",
                     "message": "prompt is too long: 210000 tokens > 200000 maximum"}},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 190000 + "
                     "20000 > 200000, decrease input length or `max_tokens` and try again"}},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"error": {"message": "The input token count (1048577) exceeds the maximum number of "
                     "tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. "
           "However, you requested 5000 tokens.", "type": "BadRequestError", "code": 400},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"object": "error", "message": "The input (12000 tokens) is longer than the model's "
           "context length (8192 tokens)."}, ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft tokens, too "
           "large for model with 32768 maximum context length", "code": "3051"},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - "
           "received 4292."}, ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"message": "Input is too long for requested model."},
     ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"code": "invalid-argument", "error": "This model's maximum prompt length is 131072 but "
           "the request contains 537812 tokens."}, ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
           "Given: 5000 `inputs` tokens"}, ErrorType.CONTEXT_LENGTH_EXCEEDED),
    (400, {"error": {"code": 400, "type": "exceed_context_size_error", "message": "the request "
                     "exceeds the available context size"}}, ErrorType.CONTEXT_LENGTH_EXCEEDED),
    # The answer asked for is too long.
    (400, {"error": {"message": "max_tokens is too large: 100000. This model supports at most "
                     "16384 completion tokens"}}, ErrorType.MAX_TOKENS_EXCEEDED),
    (400, {"error": {"message": "max_tokens: 100000 > 64000, which is the maximum allowed number "
                     "of output tokens"}}, ErrorType.MAX_TOKENS_EXCEEDED),
    (400, {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this "
                     "model.", "code": "unsupported_parameter"}}, ErrorType.INVALID_REQUEST),
    (400, {"error": {"code": "string_above_max_length", "message": "Invalid 'user': string too "
                     "long."}}, ErrorType.STRING_TOO_LONG),
    # Content.
    (400, {"error": {"code": "content_filter", "message": "The response was filtered due to the "
                     "prompt triggering Azure OpenAI's content management policy."}},
     ErrorType.CONTENT_POLICY_VIOLATION),
    (400, {"error": {"message": "Content Exists Risk"}}, ErrorType.CONTENT_POLICY_VIOLATION),
    (403, {"error": {"message": "Your input was flagged by our system"}},
     ErrorType.CONTENT_POLICY_VIOLATION),
    (400, {"error": {"code": "invalid_prompt", "message": "your prompt was flagged as potentially "
                     "violating our usage policy"}}, ErrorType.INVALID_PROMPT),
    # Images.
    (400, {"error": {"code": "invalid_image_url", "message": "Error while downloading https://x."}},
     ErrorType.IMAGE_DOWNLOAD_FAILED),
    (400, {"error": {"message": "messages.0.content.0.image.source.base64: image exceeds 5 MB "
                     "maximum: 6000000 bytes > 5242880 bytes"}}, ErrorType.IMAGE_TOO_LARGE),
    (400, {"error": {"message": "You uploaded an unsupported image."}},
     ErrorType.UNSUPPORTED_IMAGE_FORMAT),
    (400, {"error": {"message": "Could not process image"}}, ErrorType.INVALID_IMAGE),
    # A model nobody has.
    (400, {"error": {"message": "Model Not Exist"}}, ErrorType.NOT_FOUND),
    (400, {"object": "error", "message": "Invalid model: nope", "code": "1500"},
     ErrorType.NOT_FOUND),
    (400, {"message": "The provided model identifier is invalid."}, ErrorType.NOT_FOUND),
    # Busy.
    (503, {"error": {"message": "The model is overloaded. Please try again later."}},
     ErrorType.PROVIDER_OVERLOADED),
    (503, {"error": "Model x is currently loading", "estimated_time": 20.0},
     ErrorType.PROVIDER_OVERLOADED),
    (503, {"message": "Model is getting throttled. Try your request again."},
     ErrorType.PROVIDER_OVERLOADED),
    (429, {"message": "Service tier capacity exceeded for this model."},
     ErrorType.PROVIDER_OVERLOADED),
    (400, {"__type": "ThrottlingException", "message": "Rate exceeded"},
     ErrorType.RATE_LIMIT_EXCEEDED),
    (429, {"message": "Too many tokens, please wait before trying again."},
     ErrorType.RATE_LIMIT_EXCEEDED),
    # OpenRouter names it itself.
    (403, {"error": {"code": 403, "message": "x", "metadata": {"error_type": "refusal"}}},
     ErrorType.REFUSAL),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "error_type"), NAMES)
def test_a_failure_is_named_by_status_then_words(status, body, error_type):
    assert named(status, body).error_type is error_type


@pytest.mark.parametrize(
    ("error", "error_type", "status"),
    [
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}},
         ErrorType.PROVIDER_OVERLOADED, 200),
        ({"error": {"message": "no", "code": "tool_use_failed", "status_code": 400}},
         ErrorType.INVALID_REQUEST, 400),
        ({"error": {"code": 400, "message": "Token limit reached"}},
         ErrorType.TOKEN_LIMIT_EXCEEDED, 400),
        ({"error": {"code": 502, "message": "x"}}, ErrorType.PROVIDER_UNAVAILABLE, 502),
        ({"error": {"code": "429", "message": "x"}}, ErrorType.RATE_LIMIT_EXCEEDED, 429),
        ({"error": {"type": "rate_limit_error", "message": "x"}},
         ErrorType.RATE_LIMIT_EXCEEDED, 200),
        ({"error": {"message": "Request timed out"}}, ErrorType.TIMEOUT, 200),
        ({"error": {"message": "?"}}, ErrorType.PROVIDER_UNAVAILABLE, 200),
        ("something broke", ErrorType.PROVIDER_UNAVAILABLE, 200),
        (None, ErrorType.PROVIDER_UNAVAILABLE, 200),
    ],
)  # fmt: skip
def test_an_error_inside_an_answer(error, error_type, status):
    failure = read_reported_error(error)
    assert (failure.error_type, failure.http_status) == (error_type, status)
    assert failure.message


def test_awss_header_names_the_exception():
    headers = {"x-amzn-ErrorType": "ThrottlingException:http://internal/"}
    failure = named(400, {"message": "slow"}, headers)
    assert failure.provider_code == "ThrottlingException"
    assert failure.error_type is ErrorType.RATE_LIMIT_EXCEEDED


SECRETS = [
    "sk-fake-key", "sk-proj-abcDEF0123456789abcDEF", "sk-ant-api03-AbC_d-123456789",
    "gsk_0123456789abcdefABCD",
    "xai-0123456789abcdefABCD", "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "hf_abcdefghij0123456789",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "AKIAIOSFODNN7EXAMPLE",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: {}. You can find it",
        '{{"error": {{"message": "bad key {}"}}}}',
        "Authorization: Bearer {}",
        "https://host/?key=1&api_key={}&x",
    ],
)
def test_secrets_do_not_survive(secret, text):
    failure = named(401, text.format(secret))
    assert secret not in (failure.raw or "")
    assert secret not in failure.message


def test_words_that_only_look_like_secrets_survive():
    text = "hf-inference does not know api_key_invalid; see account/api-keys; risk-free"
    assert named(400, text).message == text


def test_the_body_is_kept_but_cut():
    failure = named(500, "x" * 100_000)
    assert len(failure.raw or "") == 2000
    assert len(failure.message) <= 2000


BODIES = st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode)


@given(st.integers(100, 700), HEADERS, BODIES)
def test_nothing_makes_it_raise(status, headers, body):
    failure = read_error(status, headers, body)
    assert failure.message
    assert failure.retry_after is None or 0 <= failure.retry_after < float("inf")


@given(JSON)
def test_no_reported_object_makes_it_raise(error):
    assert read_reported_error(error).outcome is AttemptOutcome.REJECTED


def test_a_spent_quota_of_tokens_is_not_a_prompt_too_long():
    body = {"message": "Too many tokens per day, please wait before trying again."}
    headers = {"x-amzn-errortype": "ServiceQuotaExceededException"}
    assert named(400, body, headers).error_type is ErrorType.RATE_LIMIT_EXCEEDED
