"""Hard conditions on endpoints, and the error when no endpoint meets them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from broker.completion import Json
from broker.errors import ModalityError, NoEndpointError
from broker.money import usd_text
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.routing.preferences import NO_PREFERENCES, Preferences
from broker.routing.requirements import Requirements

ESTIMATE_MARGIN = 1.25
"""A prompt's size is a guess: only what is surely too long for an endpoint is kept from it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition, where it was set, and what is wanted by it."""

    code: str
    field: str  # of the request
    wanted: str
    keeps: Callable[[Endpoint], bool]
    fault: Callable[[Endpoint], str] = lambda _: ""  # what an endpoint has instead, in words


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An endpoint that is not in a plan: the condition that it failed, and how."""

    provider: str
    model: str
    code: str
    detail: str = ""


Sifted: TypeAlias = tuple[list[Endpoint], list[Exclusion]]


def sift(endpoints: Iterable[Endpoint], filters: Sequence[Filter]) -> Sifted:
    """Split endpoints into those that pass every filter, and the others with what stopped them."""
    kept, excluded = [], []
    for endpoint in endpoints:
        for each in filters:
            if not each.keeps(endpoint):
                excluded.append(
                    Exclusion(endpoint.provider, endpoint.model, each.code, each.fault(endpoint))
                )
                break
        else:
            kept.append(endpoint)
    return kept, excluded


def passes(endpoint: Endpoint, filters: Sequence[Filter]) -> bool:
    """Tell whether an endpoint passes every filter."""
    return all(each.keeps(endpoint) for each in filters)


def suits(endpoint: Endpoint, requirements: Requirements) -> bool:
    """Tell whether an endpoint is known to take a request's input and to give its output."""
    takes = requirements.modalities <= (endpoint.input_modalities or frozenset())
    return takes and passes(endpoint, list(_of_requirements(requirements)))


def filters(requirements: Requirements, preferences: Preferences) -> list[Filter]:
    """Return the conditions that this request makes; most make one or two."""
    if preferences is NO_PREFERENCES:
        return list(_of_requirements(requirements))
    return [*_of_requirements(requirements), *_of_preferences(requirements, preferences)]


def matches(endpoint: Endpoint, slug: str) -> bool:
    """Tell whether a provider's slug means this endpoint; `slug/fp8` means one build of it."""
    provider, _, build = slug.partition("/")
    return provider == endpoint.provider and (not build or build == endpoint.quantization)


def _of_requirements(requirements: Requirements) -> Iterator[Filter]:
    if requirements.modalities:
        wanted = f"{_words(requirements.modalities)} input"
        yield Filter(
            "modality", "messages", wanted, lambda each: each.takes(requirements.modalities)
        )
    if requirements.outputs:
        wanted = f"{_words(requirements.outputs)} output"
        yield Filter(
            "output_modality",
            "modalities",
            wanted,
            lambda each: requirements.outputs <= each.output_modalities,
        )
    if requirements.input_tokens:
        wanted = f"a context of about {requirements.input_tokens:,} tokens"
        yield Filter(
            "context_length",
            "messages",
            wanted,
            lambda each: _holds(each.context_length, requirements),
            lambda each: f"holds {each.context_length:,}",
        )
    if (most := requirements.output_tokens) is not None:
        yield Filter(
            "max_completion_tokens",
            "max_tokens",
            f"answers of {most:,} tokens",
            lambda each: each.max_completion_tokens is None or each.max_completion_tokens >= most,
            lambda each: f"gives {each.max_completion_tokens:,}",
        )
    for parameter in sorted(requirements.must):
        yield _supporting(parameter)


def _holds(context_length: int | None, requirements: Requirements) -> bool:
    if context_length is None or context_length <= requirements.shortened_up_to:
        return True
    return context_length * ESTIMATE_MARGIN >= requirements.input_tokens


def _supporting(parameter: str) -> Filter:
    wanted = frozenset({parameter})
    return Filter(
        parameter, parameter, f"an endpoint with `{parameter}`", lambda each: not each.lacks(wanted)
    )


def _of_preferences(requirements: Requirements, preferences: Preferences) -> Iterator[Filter]:
    yield from _of_providers(preferences)
    if preferences.require_parameters:
        wanted = f"support of {_words(requirements.parameters)}"
        yield Filter(
            "require_parameters",
            "provider.require_parameters",
            wanted,
            lambda each: not each.lacks(requirements.parameters),
            lambda each: f"lacks {_words(each.lacks(requirements.parameters))}",
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
            f"a quantization of {_words(builds)}",
            lambda each: (each.quantization or "unknown") in builds,
            lambda each: each.quantization or "unknown",
        )
    if preferences.max_price:
        yield Filter(
            "max_price",
            "provider.max_price",
            f"a price of at most {_dollars(preferences)}",
            lambda each: not _too_expensive(each.price, preferences),
            lambda each: _too_expensive(each.price, preferences) or "",
        )


def _of_providers(preferences: Preferences) -> Iterator[Filter]:
    if (only := preferences.only) is not None:
        yield Filter(
            "allowed_providers",
            "provider.only",
            f"a provider among {_words(only)}",
            lambda each: any(matches(each, slug) for slug in only),
        )
    if preferences.ignore:
        yield Filter(
            "ignored_providers",
            "provider.ignore",
            f"a provider other than {_words(preferences.ignore)}",
            lambda each: not any(matches(each, slug) for slug in preferences.ignore),
        )
    if preferences.order and not preferences.allow_fallbacks:
        yield Filter(
            "allowed_providers",
            "provider.order",
            f"a provider among {_words(preferences.order)} (provider.allow_fallbacks is false)",
            lambda each: any(matches(each, slug) for slug in preferences.order),
        )


FREE = Filter("free", "model", "an endpoint that is free", lambda each: each.price.is_free)
"""The price limit of the suffix `:free`."""


def _too_expensive(price: Price, preferences: Preferences) -> str | None:
    """Return what of a price is above the most that was allowed."""
    if price.as_stated:
        return "tells its price afterwards"
    for name, most in preferences.max_price.items():
        asked = getattr(price, name) or 0
        if asked > most:
            return f"{usd_text(asked)} USD for {name}"
    return None


def _dollars(preferences: Preferences) -> str:
    return ", ".join(
        f"{usd_text(most)} USD for {name}" for name, most in preferences.max_price.items()
    )


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


MODALITY = "modality"
SHOWN = 5  # endpoints named by a message


def refuse(
    models: Sequence[str],
    requirements: Requirements,
    conditions: Sequence[Filter],
    excluded: Sequence[Exclusion],
) -> NoReturn:
    """Raise NoEndpointError, or ModalityError when it was the kinds of input that left nothing."""
    if not excluded:
        raise NoEndpointError(
            f"No configured provider serves {', '.join(models)}: configure one, or choose a model "
            "of GET /api/v1/models.",
            param="model",
            metadata={"availability": _availability("no_endpoints", models)},
        )
    codes = {each.code for each in excluded}
    failed = [each for each in (*conditions, FREE) if each.code in codes]
    last = failed[-1]  # those who failed here had passed the rest
    if codes == {MODALITY} and last.field == "messages":
        raise ModalityError(models, requirements.modalities)
    raise NoEndpointError(
        f"No endpoint of {', '.join(models)} fits this request: "
        f"{'; '.join(_describe(each, excluded) for each in failed)}.",
        param=last.field,
        metadata={"availability": _constraint(models, excluded, last)},
    )


def refuse_choice(router: str, count: int) -> NoReturn:
    """Raise NoEndpointError: a caller's wishes leave a router no model to choose."""
    raise NoEndpointError(
        f"{router} could choose among {count} models here, and `allowed_models`, `excluded_models` "
        "and `min_coding_score` leave none of them.",
        param="allowed_models",
        metadata={"availability": _availability("constraint_filtered", [router])},
    )


def _describe(condition: Filter, excluded: Sequence[Exclusion]) -> str:
    """Say what a condition asks for, whom that leaves out, and what they have instead."""
    out = [each for each in excluded if each.code == condition.code]
    shown = [f"{each.provider} ({each.detail})" if each.detail else each.provider for each in out]
    if len(shown) > SHOWN:
        shown[SHOWN:] = [f"{len(out) - SHOWN} more"]
    whom = " and ".join(each for each in (", ".join(shown[:-1]), shown[-1]) if each)
    return f"{condition.field} asks for {condition.wanted}, which leaves out {whom}"


def _constraint(models: Sequence[str], excluded: Sequence[Exclusion], last: Filter) -> Json:
    codes = list(dict.fromkeys(each.code for each in excluded))
    private = all(code.startswith("data_policy:") for code in codes)
    return _availability("privacy_restricted" if private else "constraint_filtered", models) | {
        "affected_providers": list(dict.fromkeys(each.provider for each in excluded)),
        "excluded_by": codes,
        "constraint": {"field": last.field, "detail": last.wanted},
    }


def _availability(code: str, models: Sequence[str]) -> Json:
    return {"code": code, "retryable": False, "requested_models": list(models)}
