"""Hard conditions on endpoints, and the error when no endpoint meets them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn, TypeAlias

from broker.completion import Json
from broker.errors import InvalidRequestError, ModalityError, NoEndpointError
from broker.money import usd_text
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.requests.image_models import find_image_model
from broker.requests.native import RequiredWire
from broker.routing.preferences import NO_PREFERENCES, Preferences
from broker.routing.requirements import Requirements
from broker.values import immutable

ESTIMATE_MARGIN = 1.25
"""The margin of the estimated prompt size, so that only a prompt surely too long is refused."""


@immutable
class Filter:
    """One condition, the field that set it, and its requirement in words."""

    code: str
    field: str  # of the request
    requirement: str
    accepts: Callable[[Endpoint], bool]
    describe: Callable[[Endpoint], str] = lambda _: ""  # the endpoint's value, in words


@immutable
class Exclusion:
    """An endpoint that is not in a plan: the condition that it failed, and how."""

    provider: str
    model: str
    code: str
    detail: str = ""


FilterResult: TypeAlias = tuple[list[Endpoint], list[Exclusion]]


def apply_filters(endpoints: Iterable[Endpoint], filters: Sequence[Filter]) -> FilterResult:
    """Split endpoints into those that pass every filter, and exclusions for the others."""
    passed, excluded = [], []
    for endpoint in endpoints:
        for each in filters:
            if not each.accepts(endpoint):
                excluded.append(
                    Exclusion(endpoint.provider, endpoint.model, each.code, each.describe(endpoint))
                )
                break
        else:
            passed.append(endpoint)
    return passed, excluded


def passes(endpoint: Endpoint, filters: Sequence[Filter]) -> bool:
    """Return whether an endpoint passes every filter."""
    return all(each.accepts(endpoint) for each in filters)


def meets_requirements(endpoint: Endpoint, requirements: Requirements) -> bool:
    """Return whether an endpoint is known to accept a request's input and to give its output."""
    takes = requirements.modalities <= (endpoint.input_modalities or frozenset())
    return takes and passes(endpoint, list(_list_requirement_filters(requirements)))


def filters(requirements: Requirements, preferences: Preferences) -> list[Filter]:
    """Return the conditions of a request; most have one or two."""
    if preferences is NO_PREFERENCES:
        return list(_list_requirement_filters(requirements))
    return [
        *_list_requirement_filters(requirements),
        *_list_preference_filters(requirements, preferences),
    ]


def matches(endpoint: Endpoint, slug: str) -> bool:
    """Return whether a provider's slug matches this endpoint; `slug/fp8` names a quantization."""
    provider, _, build = slug.partition("/")
    return provider == endpoint.provider and (not build or build == endpoint.quantization)


_APIS = {"anthropic": "Anthropic's Messages API"}


def _build_wire_filter(required: RequiredWire) -> Filter:
    api = _APIS.get(required.wire, required.wire)
    return Filter(
        "native_content",
        required.field,
        f"an endpoint with {api}, which alone has `{required.kind}`",
        lambda each: each.wire == required.wire,
    )


def _list_requirement_filters(requirements: Requirements) -> Iterator[Filter]:
    for required in requirements.wires:
        yield _build_wire_filter(required)
    if requirements.modalities:
        requirement = f"{_join_words(requirements.modalities)} input"
        yield Filter(
            "modality",
            requirements.input_field,
            requirement,
            lambda each: each.takes(requirements.modalities),
        )
    if requirements.outputs:
        requirement = f"{_join_words(requirements.outputs)} output"
        yield Filter(
            "output_modality",
            "modalities",
            requirement,
            lambda each: requirements.outputs <= each.output_modalities,
        )
    if requirements.input_tokens:
        requirement = f"a context of about {requirements.input_tokens:,} tokens"
        yield Filter(
            "context_length",
            "messages",
            requirement,
            lambda each: _fits_context(each.context_length, requirements),
            lambda each: f"holds {each.context_length:,}",
        )
    if (limit := requirements.output_tokens) is not None:
        yield Filter(
            "max_completion_tokens",
            "max_tokens",
            f"answers of {limit:,} tokens",
            lambda each: each.max_completion_tokens is None or each.max_completion_tokens >= limit,
            lambda each: f"gives {each.max_completion_tokens:,}",
        )
    for name in requirements.picture_options:
        yield _build_picture_filter(name, requirements.picture_options)
    for parameter in sorted(requirements.must):
        yield _build_parameter_filter(parameter)


def _build_picture_filter(name: str, options: Json) -> Filter:
    def find_problem(endpoint: Endpoint) -> str | None:
        model = find_image_model(endpoint.model)
        return None if model is None else model.find_problem(name, options)

    return Filter(
        f"{PICTURE}{name}",
        name,
        f"a model that takes its value {str(options[name])[:MAX_VALUE]!r}",
        lambda each: find_problem(each) is None,
        lambda each: find_problem(each) or "",
    )


def _fits_context(context_length: int | None, requirements: Requirements) -> bool:
    if context_length is None or context_length <= requirements.shortened_up_to:
        return True
    return context_length * ESTIMATE_MARGIN >= requirements.input_tokens


def _build_parameter_filter(parameter: str) -> Filter:
    requirement = frozenset({parameter})
    return Filter(
        parameter,
        parameter,
        f"an endpoint with `{parameter}`",
        lambda each: not each.lacks(requirement),
    )


def _list_preference_filters(
    requirements: Requirements, preferences: Preferences
) -> Iterator[Filter]:
    yield from _list_provider_filters(preferences)
    if preferences.require_parameters:
        requirement = f"support of {_join_words(requirements.parameters)}"
        yield Filter(
            "require_parameters",
            "provider.require_parameters",
            requirement,
            lambda each: not each.lacks(requirements.parameters),
            lambda each: f"lacks {_join_words(each.lacks(requirements.parameters))}",
        )
    if not preferences.data_collection:
        yield Filter(
            "data_policy:training",
            "provider.data_collection",
            "a provider that is known not to train on what it is sent",
            lambda each: not each.data_policy.collects,
        )
    if preferences.zdr:
        yield Filter(
            "data_policy:zdr",
            "provider.zdr",
            "a provider that keeps nothing it is sent",
            lambda each: each.data_policy.zdr,
        )
    if preferences.distillable:
        yield Filter(
            "distillable",
            "provider.enforce_distillable_text",
            "a model whose text may train others (`distillable = true` in waybill.toml says so)",
            lambda each: each.distillable,
        )
    if (builds := preferences.quantizations) is not None:
        yield Filter(
            "quantization",
            "provider.quantizations",
            f"a quantization of {_join_words(builds)}",
            lambda each: (each.quantization or "unknown") in builds,
            lambda each: each.quantization or "unknown",
        )
    if preferences.max_price:
        yield Filter(
            "max_price",
            "provider.max_price",
            f"a price of at most {_format_prices(preferences)}",
            lambda each: not _find_excess(each.price, preferences),
            lambda each: _find_excess(each.price, preferences) or "",
        )


def _list_provider_filters(preferences: Preferences) -> Iterator[Filter]:
    if (only := preferences.only) is not None:
        yield Filter(
            "allowed_providers",
            "provider.only",
            f"a provider among {_join_words(only)}",
            lambda each: any(matches(each, slug) for slug in only),
        )
    if preferences.ignore:
        yield Filter(
            "ignored_providers",
            "provider.ignore",
            f"a provider other than {_join_words(preferences.ignore)}",
            lambda each: not any(matches(each, slug) for slug in preferences.ignore),
        )
    if preferences.order and not preferences.allow_fallbacks:
        yield Filter(
            "allowed_providers",
            "provider.order",
            f"a provider among {_join_words(preferences.order)} "
            "(provider.allow_fallbacks is false)",
            lambda each: any(matches(each, slug) for slug in preferences.order),
        )


FREE = Filter("free", "model", "an endpoint that is free", lambda each: each.price.is_free)
"""The price limit of the suffix `:free`."""


def _find_excess(price: Price, preferences: Preferences) -> str | None:
    """Return the part of a price that exceeds the price limit, in words."""
    if price.as_stated:
        return "reports its price afterwards"
    for name, limit in preferences.max_price.items():
        price_asked = getattr(price, name) or 0
        if price_asked > limit:
            return f"{usd_text(price_asked)} USD for {name}"
    return None


def _format_prices(preferences: Preferences) -> str:
    return ", ".join(
        f"{usd_text(limit)} USD for {name}" for name, limit in preferences.max_price.items()
    )


def _join_words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


MODALITY = "modality"
PICTURE = "picture:"
"""The beginning of the codes of options that an image model does not take."""

MAX_VALUE = 60  # characters of a value in a message
MAX_SHOWN = 5  # endpoints named by a message


def refuse(
    models: Sequence[str],
    requirements: Requirements,
    conditions: Sequence[Filter],
    excluded: Sequence[Exclusion],
) -> NoReturn:
    """Raise NoEndpointError, or ModalityError if only input modalities failed."""
    if not excluded:
        raise NoEndpointError(
            f"No configured provider serves {', '.join(models)}: configure one, or choose a model "
            "of GET /api/v1/models.",
            param="model",
            metadata={"availability": _build_availability("no_endpoints", models)},
        )
    codes = {each.code for each in excluded}
    failed = [each for each in (*conditions, FREE) if each.code in codes]
    last = failed[-1]  # an endpoint that fails here passed all others
    if codes == {MODALITY} and last.field == "messages":
        raise ModalityError(models, requirements.modalities)
    if all(code.startswith(PICTURE) for code in codes):
        named = ", ".join(dict.fromkeys(f"{e.model} {e.detail}" for e in excluded))
        raise InvalidRequestError(f"{last.field}: {named}.", param=last.field)
    raise NoEndpointError(
        f"No endpoint of {', '.join(models)} fits this request: "
        f"{'; '.join(_describe(each, excluded) for each in failed)}.",
        param=last.field,
        metadata={"availability": _build_constraint(models, excluded, last)},
    )


def refuse_choice(router: str, count: int) -> NoReturn:
    """Raise NoEndpointError: a caller's options leave a router no model."""
    raise NoEndpointError(
        f"{router} could choose among {count} models here, and `allowed_models`, `excluded_models` "
        "and `min_coding_score` leave none of them.",
        param="allowed_models",
        metadata={"availability": _build_availability("constraint_filtered", [router])},
    )


def _describe(condition: Filter, excluded: Sequence[Exclusion]) -> str:
    """Describe a condition, the endpoints that it excludes, and their values."""
    failing = [each for each in excluded if each.code == condition.code]
    shown = [
        f"{each.provider} ({each.detail})" if each.detail else each.provider for each in failing
    ]
    if len(shown) > MAX_SHOWN:
        shown[MAX_SHOWN:] = [f"{len(failing) - MAX_SHOWN} more"]
    providers = " and ".join(each for each in (", ".join(shown[:-1]), shown[-1]) if each)
    return f"{condition.field} asks for {condition.requirement}, which leaves out {providers}"


def _build_constraint(models: Sequence[str], excluded: Sequence[Exclusion], last: Filter) -> Json:
    codes = list(dict.fromkeys(each.code for each in excluded))
    private = all(code.startswith("data_policy:") for code in codes)
    return _build_availability(
        "privacy_restricted" if private else "constraint_filtered", models
    ) | {
        "affected_providers": list(dict.fromkeys(each.provider for each in excluded)),
        "excluded_by": codes,
        "constraint": {"field": last.field, "detail": last.requirement},
    }


def _build_availability(code: str, models: Sequence[str]) -> Json:
    return {"code": code, "retryable": False, "requested_models": list(models)}
