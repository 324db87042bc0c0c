"""Authorize requests, and restrict their routing, by the rules of an API key."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from broker.accounts.principal import Principal
from broker.accounts.users import Scope
from broker.completion import Json
from broker.enums import CallerKind
from broker.errors import NoEndpointError, PermissionDeniedError
from broker.providers.endpoints import Endpoint


def check_runs(principal: Principal) -> None:
    """Raise PermissionDeniedError for a caller that runs no inference."""
    if principal.kind is CallerKind.MANAGEMENT or not principal.has_key:
        raise PermissionDeniedError(
            "This is not an inference key: use an inference key to run jobs."
        )
    if principal.is_disabled:
        raise PermissionDeniedError("An administrator has disabled your calls at the dashboard.")


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raise PermissionDeniedError for a key without this scope."""
    if scope not in principal.scopes:
        raise PermissionDeniedError(
            f"This key lacks the scope {scope.value}: an administrator adds it with "
            f'PATCH /api/v1/keys/{{hash}} and {{"scopes": ["{scope.value}"]}}.'
        )


def filter_endpoints(
    principal: Principal, endpoints: Mapping[str, Sequence[Endpoint]]
) -> Mapping[str, Sequence[Endpoint]]:
    """Return those of a request's endpoints, by model, that the caller may use.

    Raises PermissionDeniedError where the caller runs no inference, or none of the models is
    allowed; NoEndpointError where only providers serve them that are not.
    """
    check_runs(principal)
    models, providers = principal.allowed_models, principal.allowed_providers
    if models is not None:
        endpoints = _of_models(models, endpoints)
    if providers is not None:
        endpoints = _of_providers(providers, endpoints)
    return endpoints


def bounds(principal: Principal) -> Json:
    """Return the restrictions that decide with whom a caller may share an answer.

    `owner` is the key itself where it may read its own jobs only: no other key's call is shared
    with it. Keys that may read all jobs of their workspace share among themselves.
    """
    providers, own = principal.allowed_providers, principal.own_keys.by_provider
    return {
        "owner": principal.owner_filter(Scope.JOBS),
        "models": principal.allowed_models,
        "providers": None if providers is None else sorted(providers),
        "own_keys": sorted(key.id for keys in own.values() for key in keys),
    }


def allows_model(patterns: Sequence[str], slug: str) -> bool:
    """Return whether a slug is allowed; `acme/*` stands for many.

    A variant (`acme/small:free`) is allowed where it or its model is.
    """
    plain = slug.partition(":")[0]
    return any(fnmatchcase(slug, each) or fnmatchcase(plain, each) for each in patterns)


def _of_models(
    patterns: Sequence[str], endpoints: Mapping[str, Sequence[Endpoint]]
) -> Mapping[str, Sequence[Endpoint]]:
    left = {slug: each for slug, each in endpoints.items() if allows_model(patterns, slug)}
    if endpoints and not left:
        raise PermissionDeniedError(
            f"This key may not use {', '.join(endpoints)}: it is limited to "
            f"{', '.join(patterns) or 'no model at all'}.",
            param="model",
            metadata={"reason": "model_not_allowed", "allowed_models": list(patterns)},
        )
    return left


def _of_providers(
    allowed: frozenset[str], endpoints: Mapping[str, Sequence[Endpoint]]
) -> Mapping[str, Sequence[Endpoint]]:
    left = {
        slug: [each for each in some if _is_among(allowed, each.provider)]
        for slug, some in endpoints.items()
    }
    if any(endpoints.values()) and not any(left.values()):
        others = sorted({each.provider for some in endpoints.values() for each in some})
        # The shape of OpenRouter's `availability` object (its docs, "Errors").
        availability = {
            "code": "constraint_filtered",
            "retryable": False,
            "requested_models": list(endpoints),
            "affected_providers": others,
            "excluded_by": ["allowed_providers"],
        }
        raise NoEndpointError(
            f"{', '.join(endpoints)} is served by {', '.join(others)}, and this key is limited to "
            f"{', '.join(sorted(allowed)) or 'no provider at all'}.",
            param="model",
            metadata={"availability": availability},
        )
    return left


def _is_among(allowed: frozenset[str], provider: str) -> bool:
    """Return whether a provider is allowed: itself, or the one it is a variant of."""
    return provider in allowed or provider.partition("/")[0] in allowed
