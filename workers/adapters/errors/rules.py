"""The table of rules that give a provider's failure its error type, by status and words.

Rules are tried in order and the first match wins. Without a match, the status decides. The phrases
are the providers' own, from their documentation and recordings.
"""

import re
from dataclasses import dataclass

from broker.completion import ErrorType

_REQUEST = frozenset({400, 413, 422})
_SERVER = frozenset({500, 501})
_INSIDE = frozenset({0})
INSIDE_ANSWER = 0
"""The status of an error inside a 2xx answer that states none."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An error type, its possible statuses (none = any), and the words that identify it.

    A rule does not apply where `unless` matches too.
    """

    error_type: ErrorType
    statuses: frozenset[int]
    words: re.Pattern[str]
    unless: re.Pattern[str] | None = None

    def matches(self, status: int, text: str) -> bool:
        if not self._fits(status) or self.words.search(text) is None:
            return False
        return self.unless is None or self.unless.search(text) is None

    def _fits(self, status: int) -> bool:
        # An error inside an answer has no status, so every rule may match it.
        return not self.statuses or status in self.statuses or status == INSIDE_ANSWER


def _rule(
    error_type: ErrorType, statuses: frozenset[int], *phrases: str, unless: str | None = None
) -> Rule:
    flags = re.IGNORECASE | re.DOTALL
    return Rule(
        error_type,
        statuses,
        re.compile("|".join(phrases), flags),
        None if unless is None else re.compile(unless, flags),
    )


_SHORT_WINDOW = r"(per|/|each|every)[ _-]?(second|sec|minute|min|hour|day)|\b[rt]p[smhd]\b"
"""A limit of such a short time is a rate limit, even where the message mentions payment."""


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
    # workspace) are 400s, but waiting does not fill an empty account: the next provider should get
    # the call at once. Google's "exceeded your current quota" (the same sentence, another code) is
    # a window that reopens, so it stays a rate limit.
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
        r"budget[_ ](has been )?exceeded|exceeded ?budget|blocked_api_access|not_enough_balance",
        r"exceeded_current_quota_error|freetieronly",
    ),
    # A monthly or monetary limit: only time or a payment lifts it.
    _rule(
        ErrorType.PAYMENT_REQUIRED,
        frozenset({402, 403, 412, 429}),
        r"\b(month|month's|monthly)( [\w'-]+){0,2} "
        r"(limit|quota|cap|budget|allowance|allocation|credit|usage)s?\b",
        r"\b(limit|limited|quota|calls|requests|tokens|credits|usage|budget)\b.{0,25}"
        r"(per|/|a|each|this|for the)[ _-]?(month|billing)",
        r"\b(spend|spending|cost|billing|budget|credit|prepaid|balance)s?[ _-](\w+ )?"
        r"(limit|cap|threshold|quota|allowance)s?\b.{0,40}"
        r"(exceed|reach|hit\b|exhaust|used|deplet|surpass)",
        r"(exceed|reach|hit\b|exhaust|deplet|surpass|over\b|out of)\w*.{0,60}"
        r"\b(spend|spending|budget|billing|prepaid|credit)[ _-](\w+ )?(limit|cap|threshold|quota)",
        r"\b(budget|credits?|balance|funds|allowance|allocation|free (tier|quota|time))\b.{0,30}"
        r"(exhausted|depleted|used up|insufficient|negative|too low|expired|run out|ran out)",
        r"insufficient.{0,20}(balance|credits?|funds)|(not enough|negative|zero) (remaining )?"
        r"(credits?|balance|funds)|\btop[ -]?up\b|\brecharge\b",
        r"used (up )?(all )?(of )?your .{0,40}(allocation|allowance|credits|quota)",
        r"\b(add|adding|set up|update|enter)\b.{0,12}(payment method|credit card|funds|credits)",
        unless=_SHORT_WINDOW,
    ),
    # Google: a quota of 0 means that the account's plan does not include the model.
    _rule(ErrorType.PERMISSION_DENIED, frozenset({429}), r"quota exceeded.{0,200}\blimit: 0\b"),
    # One request above the whole limit of a minute: waiting does not help.
    _rule(
        ErrorType.TOKEN_LIMIT_EXCEEDED,
        frozenset({400, 413, 429}),
        r"request (is )?too (large|big|long)\b.{0,120}(per[ _-]?min|\btpm\b|rate limit)",
        r"(single|one|this) request.{0,40}(exceed|larger|more than).{0,40}"
        r"(whole|entire|maximum|total).{0,20}(per[ _-]?min|\btpm\b|rate limit|quota)",
    ),
    _rule(
        ErrorType.CONTEXT_LENGTH_EXCEEDED,
        _REQUEST | {500},
        r"context_length_exceeded|exceed_context_size|model_max_prompt_tokens_exceeded",
        r"too_many_(prompt|input|context)_tokens|total length of (all )?messages is too long",
        r"(maximum|max|model'?s|available) (context|prompt) ?(length|size|window)",
        r"\b(prompt|input|conversation|messages?)( is| are| was)? too long|prompt tokens too long",
        r"(input|prompt|input token count|token count|tokens?)\b.{0,80}exceeds?\b.{0,60}"
        r"(maximum number of (input )?tokens|context|token limit|max(imum)? (length|input))",
        # llama.cpp, vLLM, LM Studio, text-generation-inference
        r"input is (too large|larger)\b.{0,60}(context|batch|process)|context (the )?overflow",
        r"(longer|larger|greater) than the (maximum )?(model|context) (length|size|window)",
        r"(reached|loaded with) (a )?context length of|maximum allowed (input )?length",
        r"inputs?`? must have less than \d+ tokens|max tokens of \d+ exceeded",
        r"context (window|length|size|limit).{0,40}exceed|exceeds? (the |this model'?s )?"
        r"(available |maximum )?context|exceed(s|ed)? context limit",
        r"too many (input |prompt |context )?tokens(?!,? please wait",
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
        ErrorType.INVALID_IMAGE,
        _SERVER,  # llama.cpp
        r"failed to (load|process|decode) (the )?(image|audio)",
    ),
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
        r"no models? (is |are )?(currently )?loaded|model (was )?unloaded",  # LM Studio
        r"model\b.{0,120}(does not exist|doesn'?t exist|was not found|is not found"
        r"|has been (deprecated|decommissioned|retired|removed))",
    ),
    _rule(
        ErrorType.RATE_LIMIT_EXCEEDED,
        frozenset({400, 403}),
        r"throttlingexception|rate exceeded|rate[_ ]?limit|servicequotaexceeded|too many requests",
        r"resource_exhausted|quota (exceeded|exhausted)|exceeded your current quota",
    ),
    # Local servers answer 500 or 501 to features they were not built or started with: llama.cpp
    # (`--jinja`, `--embeddings`, mmproj), Ollama (memory, adapters), vLLM, chat templates.
    _rule(
        ErrorType.UNPROCESSABLE,
        _SERVER,
        r"not_supported_error|not (currently )?(supported|implemented|enabled)\b",
        r"(does not|doesn'?t|cannot) support|unsupported (param|parameter|content|model|message)",
        r"requires? (the )?`?--|start it with `?--|requires more (system |gpu )?memory",
        r"missing data required for|(jinja|chat) template|roles must alternate",
        r"failed to (parse|apply|render|compile|initialize|init).{0,40}(grammar|template|schema|"
        r"sampler)|unable to generate parser|json schema conversion failed",
    ),
    _rule(
        ErrorType.PROVIDER_UNAVAILABLE,
        frozenset({400}),
        r"\b(model|engine|runner)( process)? has (crashed|terminated)",  # LM Studio
    ),
    _rule(
        ErrorType.PROVIDER_OVERLOADED,
        frozenset({429, 498, 500, 502, 503, 504, 529}),
        r"overloaded|throttl(?!ingexception)|high demand|at capacity|capacity (exceeded|exhausted)",
        r"(insufficient|exceeded|no|not enough) (available )?capacity|capacity_exceeded",
        r"(server|system|service|engine|model) (is )?(too )?(busy|not ready)|currently loading",
        r"loading model|model is (still )?loading|no (available )?slots?\b|slot (is )?unavailable",
        r"maximum pending requests|queue is full|out of memory",
        r"too many (concurrent )?requests(?=.{0,80}(server|queue|model))|try again at off-peak",
    ),
    # Inside an answer only the words decide.
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
    501: ErrorType.UNPROCESSABLE,  # a feature that this server does not have
    504: ErrorType.TIMEOUT,
    522: ErrorType.TIMEOUT,  # Cloudflare: connection to the origin timed out
    524: ErrorType.TIMEOUT,  # Cloudflare: the origin did not answer in time
    529: ErrorType.PROVIDER_OVERLOADED,  # Anthropic
}


_LIMIT = re.compile(r"\blimit\b\D{0,12}(\d[\d,_]*)", re.IGNORECASE)
_REQUESTED = re.compile(r"\brequested\b\D{0,12}(\d[\d,_]*)", re.IGNORECASE)
_LIMITED = frozenset({INSIDE_ANSWER, 413, 429})


def name_failure(status: int, text: str) -> ErrorType:
    """Return the error type of a failure with this status and these words."""
    if status in _LIMITED and _requests_more_than_all(text):
        return ErrorType.TOKEN_LIMIT_EXCEEDED
    for rule in RULES:
        if rule.matches(status, text):
            return rule.error_type
    return BY_STATUS.get(status) or _by_class(status)


def _requests_more_than_all(text: str) -> bool:
    """Return whether one request is larger than the whole limit that it exceeded."""
    limit, requested = _LIMIT.search(text), _REQUESTED.search(text)
    if limit is None or requested is None:
        return False
    return _whole_number(requested[1]) > _whole_number(limit[1])


def _whole_number(digits: str) -> int:
    return int(digits.replace(",", "").replace("_", "")[:18])


def _by_class(status: int) -> ErrorType:
    if 400 <= status < 500:  # noqa: PLR2004  # HTTP's "the client erred"
        return ErrorType.INVALID_REQUEST
    if 500 <= status < 600:  # noqa: PLR2004  # HTTP's "the server failed"
        return ErrorType.PROVIDER_UNAVAILABLE
    return ErrorType.UNMAPPED
