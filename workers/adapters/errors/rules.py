"""The one table that names a provider's failure: the status first, then its words.

Rules are tried in order and the first match wins; what no rule matches takes its status's plain
meaning. The phrases are the providers' own, collected from their documentation and recordings.
"""

import re
from dataclasses import dataclass

from broker.completion import ErrorType

_REQUEST = frozenset({400, 413, 422})
_REFUSED = frozenset({400, 401, 402, 403})
_ANY: frozenset[int] = frozenset()
_INSIDE = frozenset({0})
INSIDE_ANSWER = 0
"""Stands for the status of an error inside a 2xx answer that claims none."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An error type, the statuses it may come with (none = any), and the words that tell it."""

    error_type: ErrorType
    statuses: frozenset[int]
    words: re.Pattern[str]

    def matches(self, status: int, text: str) -> bool:
        return self._fits(status) and self.words.search(text) is not None

    def _fits(self, status: int) -> bool:
        # An error inside an answer has no status to disagree with, so every rule may claim it.
        return not self.statuses or status in self.statuses or status == INSIDE_ANSWER


def _rule(error_type: ErrorType, statuses: frozenset[int], *phrases: str) -> Rule:
    return Rule(error_type, statuses, re.compile("|".join(phrases), re.IGNORECASE | re.DOTALL))


RULES: tuple[Rule, ...] = (
    # xAI and Google answer 400 to a wrong key, AWS 403; Anthropic 400 to a disabled organization.
    _rule(
        ErrorType.AUTHENTICATION,
        frozenset({400, 401, 403, 404}),
        r"(incorrect|invalid|wrong|expired|missing|malformed|disabled|no|bad) (x-)?api[ -]?key",
        r"invalid_api_key|api_key_invalid|api_key_expired|authentication_error",
        r"api key (not valid|expired|not found|is (invalid|missing|expired)|was reported as)",
        r"unauthenticated|invalid (authentication|bearer)|missing authentication|no auth cred",
        r"security token (included in the request )?is (invalid|expired)|expired ?token",
        r"unrecognizedclient|invalidsignature|missingauthenticationtoken|incompletesignature",
        r"request signature we calculated",
        r"(organi[sz]ation|account|workspace) has been (disabled|suspended|deactivated)",
    ),
    # OpenAI's `insufficient_quota` is a 429, Anthropic's spend limits (of the organization, of a
    # workspace) are 400s, but no waiting cures an empty account: the next provider should be asked
    # at once. Google's "exceeded your current quota" (the same sentence,
    # another code) is a window that reopens, and stays a rate limit.
    _rule(
        ErrorType.PAYMENT_REQUIRED,
        frozenset({400, 401, 402, 403, 404, 429}),
        r"insufficient[_ ](quota|balance|credits?|funds)|credit balance (is )?too low",
        r"billing[_ ](hard[_ ]limit|not[_ ]active)|billing_error|payment[_ ]required|arrearage",
        r"(reach|exceed|hit|over|out of)(ed|s)? (your|the|this)( [\w'\u2019-]+){0,4}? "
        r"((usage|spend(ing)?|budget) limits?|credits)(?!.{0,40}per[ -](second|minute|hour))",
        r"regain access on \d",
        r"(doesn'?t|does not|no longer) have (any |enough )?(credits|balance)",
        r"used all available credits|out of credits|exceeded your monthly included credits",
        r"(key|credit|spend(ing)?) limit (exceeded|reached)|please recharge",
        r"account is not active, please check your billing",
    ),
    _rule(
        ErrorType.CONTEXT_LENGTH_EXCEEDED,
        _REQUEST | {500},
        r"context_length_exceeded|exceed_context_size|model_max_prompt_tokens_exceeded",
        r"(maximum|max|model'?s|available) (context|prompt) ?(length|size|window)",
        r"\b(prompt|input|conversation)( is| was)? too long",
        r"(input|prompt|input token count|token count|tokens?)\b.{0,80}exceeds?\b.{0,60}"
        r"(maximum number of (input )?tokens|context|token limit|max(imum)? (length|input))",
        r"context (window|length|size|limit).{0,40}exceed|exceeds? (the |this model'?s )?"
        r"(available |maximum )?context|exceed(s|ed)? context limit",
        r"too many (input )?tokens(?!,? please wait",
        r" per )|total number of tokens.{0,60}cannot exceed",
        r"longer than the (model'?s|maximum) (context|input)|tokens_limit_reached",
        r"inputs?`? tokens? \+ `?max_new_tokens|range of input length should be",
        r"exceeded model token limit|prompt exceeds max length|reduce the length of (the|your) "
        r"(messages|prompt|input)|tokens? .{0,40}too large for model",
    ),
    _rule(
        ErrorType.MAX_TOKENS_EXCEEDED,
        _REQUEST,
        r"max_(completion_|output_|new_)?tokens.{0,60}(too large|too high|maximum|at most|less than"
        r"|must be (<=|between)|exceeds?|greater than|range)",
        r"maximum (output )?tokens you requested exceeds|max_tokens_exceeded",
        r"maximum allowed number of output tokens|supports at most \d+ completion tokens",
    ),
    _rule(
        ErrorType.TOKEN_LIMIT_EXCEEDED,
        _REQUEST,
        r"token_limit_exceeded|token limit (reached|exceeded)",
    ),
    _rule(
        ErrorType.STRING_TOO_LONG,
        _REQUEST,
        r"string_above_max_length|string_too_long|string (is )?too long",
    ),
    _rule(ErrorType.INVALID_PROMPT, _REQUEST, r"\binvalid_prompt\b"),
    _rule(
        ErrorType.CONTENT_POLICY_VIOLATION,
        frozenset({400, 403, 422, 451}),
        r"content_filter\b|content[_ ]policy|content management policy|responsibleaipolicy",
        r"moderation_blocked|(failed|blocked by) moderation|data_inspection_failed",
        r"safety (system|check|polic)|safety_check",
        r"(flagged|blocked) (as|by|for|because)|prohibited[_ ]content|content exists risk",
        r"usage (policy|policies|guidelines)|unsafe (content|or sensitive)",
        r"guardrails?( has| was)? (intervened|blocked)|blocked by .{0,30}guardrail",
        r"sensitive content|inappropriate content",
    ),
    _rule(ErrorType.REFUSAL, _REQUEST, r"model_refusal|\brefusal\b"),
    _rule(
        ErrorType.IMAGE_DOWNLOAD_FAILED,
        _REQUEST,
        r"invalid_image_url|image_download_failed|(error|failed|failure)( while)? "
        r"(downloading|to (download|fetch|load|retrieve) )(.{0,40}(image|media|url|http)|http)",
        r"(unable|could not|cannot|can'?t) (to )?(download|fetch|retrieve|access).{0,40}"
        r"(image|media|url|file)",
    ),
    _rule(
        ErrorType.IMAGE_TOO_LARGE,
        _REQUEST,
        r"image_too_large|image.{0,80}(too (large|big)|exceeds?\b|larger than|maximum size)",
    ),
    _rule(
        ErrorType.IMAGE_TOO_SMALL, _REQUEST, r"image_too_small|image.{0,80}(too small|smaller than)"
    ),
    _rule(
        ErrorType.UNSUPPORTED_IMAGE_FORMAT,
        _REQUEST | {415},
        r"invalid_image_format|unsupported_image|unsupported image|image format",
        r"image.{0,60}(unsupported|not supported) (format|mime|media|type)|invalid_image_type",
    ),
    _rule(
        ErrorType.INVALID_IMAGE,
        _REQUEST,
        r"invalid[_ ]image|invalid_base64_image|image_parse_error",
        r"(could not|cannot|unable to|failed to) (process|decode|parse|read|open|identify).{0,30}"
        r"image",
    ),
    _rule(
        ErrorType.NOT_FOUND,
        frozenset({400, 403, 404, 422}),
        r"model_not_found|model[_ ]not[_ ](exist|found|supported)|model_decommissioned",
        r"is not a valid model|invalid model(?! (output|response))(?=[\s:\"'}.]|$)",
        r"model identifier is invalid|unknown[_ ]model|no such model|deploymentnotfound",
        r"model\b.{0,120}(does not exist|doesn'?t exist|was not found|is not found"
        r"|has been (deprecated|decommissioned|retired|removed))",
    ),
    _rule(
        ErrorType.RATE_LIMIT_EXCEEDED,
        frozenset({400, 403}),
        r"throttlingexception|rate exceeded|rate[_ ]?limit|servicequotaexceeded|too many requests",
        r"resource_exhausted|quota (exceeded|exhausted)|exceeded your current quota",
    ),
    _rule(
        ErrorType.PROVIDER_OVERLOADED,
        frozenset({429, 498, 500, 502, 503, 504, 529}),
        r"overloaded|throttl(?!ingexception)|high demand|at capacity|capacity (exceeded|exhausted)",
        r"(insufficient|exceeded|no|not enough) (available )?capacity|capacity_exceeded",
        r"(server|system|service|engine|model) (is )?(too )?(busy|not ready)|currently loading",
        r"too many (concurrent )?requests(?=.{0,80}(server|queue|model))|try again at off-peak",
    ),
    # Inside an answer only the words can tell.
    _rule(ErrorType.TIMEOUT, _INSIDE, r"timed?[_ -]?out|deadline[ _]exceeded"),
    _rule(ErrorType.RATE_LIMIT_EXCEEDED, _INSIDE, r"rate[_ -]?limit|too many requests|429|throttl"),
    _rule(ErrorType.PERMISSION_DENIED, _INSIDE, r"permission|forbidden|access ?denied"),
    _rule(ErrorType.NOT_FOUND, _INSIDE, r"not_found"),
    _rule(
        ErrorType.INVALID_REQUEST,
        _INSIDE,
        r"invalid[_ ](request|argument|param|tool)|bad[_ ]?request|validation|tool_use_failed",
    ),
)

BY_STATUS: dict[int, ErrorType] = {
    INSIDE_ANSWER: ErrorType.PROVIDER_UNAVAILABLE,
    400: ErrorType.INVALID_REQUEST,
    401: ErrorType.AUTHENTICATION,
    402: ErrorType.PAYMENT_REQUIRED,
    403: ErrorType.PERMISSION_DENIED,
    404: ErrorType.NOT_FOUND,
    408: ErrorType.TIMEOUT,
    409: ErrorType.PRECONDITION_FAILED,
    410: ErrorType.NOT_FOUND,
    412: ErrorType.PRECONDITION_FAILED,
    413: ErrorType.PAYLOAD_TOO_LARGE,
    422: ErrorType.UNPROCESSABLE,
    424: ErrorType.PROVIDER_UNAVAILABLE,  # Bedrock's ModelErrorException, TGI's generation error
    425: ErrorType.PROVIDER_UNAVAILABLE,
    429: ErrorType.RATE_LIMIT_EXCEEDED,
    451: ErrorType.CONTENT_POLICY_VIOLATION,
    498: ErrorType.PROVIDER_OVERLOADED,  # Groq: flex tier capacity exceeded
    499: ErrorType.TIMEOUT,  # Google's CANCELLED
    504: ErrorType.TIMEOUT,
    522: ErrorType.TIMEOUT,  # Cloudflare: connection to the origin timed out
    524: ErrorType.TIMEOUT,  # Cloudflare: the origin did not answer in time
    529: ErrorType.PROVIDER_OVERLOADED,  # Anthropic
}


def name_failure(status: int, text: str) -> ErrorType:
    """Return the error type of a failure with this status and these words."""
    for rule in RULES:
        if rule.matches(status, text):
            return rule.error_type
    return BY_STATUS.get(status) or _by_class(status)


def _by_class(status: int) -> ErrorType:
    if 400 <= status < 500:  # noqa: PLR2004  # HTTP's "the client erred"
        return ErrorType.INVALID_REQUEST
    if 500 <= status < 600:  # noqa: PLR2004  # HTTP's "the server failed"
        return ErrorType.PROVIDER_UNAVAILABLE
    return ErrorType.UNMAPPED
