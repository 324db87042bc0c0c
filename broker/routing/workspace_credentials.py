"""Apply a workspace's credentials for providers to a plan. Pure.

The order is OpenRouter's (its docs, "BYOK"): prioritised keys, the installation's own, fallback
keys; prioritised keys come first, even against `provider.order`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from broker.errors import NoEndpointError
from broker.providers.endpoints import Endpoint
from broker.routing.filters import Exclusion
from broker.routing.plans import Plan, PlanStep


@dataclass(frozen=True, slots=True)
class WorkspaceCredential:
    """A workspace's key of a provider, without the key itself."""

    id: str
    provider: str
    name: str  # or its masked form
    is_fallback: bool = False
    is_required: bool = False
    is_byok_only: bool = False
    disabled: bool = False
    is_refused: bool = False  # disabled because the provider refused it
    allowed_models: frozenset[str] | None = None
    allowed_key_ids: frozenset[str] | None = None
    allowed_user_ids: frozenset[str] | None = None

    def is_allowed(self, api_key_id: str, user_id: str | None) -> bool:
        """Return whether this caller may use it."""
        by_key = self.allowed_key_ids is None or api_key_id in self.allowed_key_ids
        return by_key and (self.allowed_user_ids is None or user_id in self.allowed_user_ids)

    def covers(self, model: str) -> bool:
        return self.allowed_models is None or model in self.allowed_models

    def forbids_shared(self, model: str) -> bool:
        """Return whether the installation's key is forbidden, also after this one was refused."""
        if self.disabled and not self.is_refused:
            return False
        return self.is_byok_only or (self.is_required and self.covers(model))


@dataclass(frozen=True, slots=True)
class WorkspaceCredentials:
    """The credentials of one caller."""

    by_provider: Mapping[str, Sequence[WorkspaceCredential]] = field(
        default_factory=dict
    )  # in their order
    unconfigured: frozenset[str] = frozenset()  # providers for which the installation has no key

    @property
    def providers(self) -> frozenset[str]:
        """Providers that can be called with a key of this caller's."""
        return frozenset(
            slug
            for slug, keys in self.by_provider.items()
            if any(not each.disabled for each in keys)
        )

    def allows_shared(self, endpoint: Endpoint) -> bool:
        """Return whether the installation's key may serve this caller here."""
        keys = self.by_provider.get(endpoint.provider, ())
        is_forbidden = any(each.forbids_shared(endpoint.model) for each in keys)
        return endpoint.provider not in self.unconfigured and not is_forbidden

    def list_usable(self, endpoint: Endpoint) -> list[WorkspaceCredential]:
        """Return the keys that may call this endpoint, in the order to try them."""
        keys = self.by_provider.get(endpoint.provider, ())
        return [each for each in keys if not each.disabled and each.covers(endpoint.model)]

    def may_call(self, endpoint: Endpoint) -> bool:
        """Return whether this caller has any key for an endpoint."""
        return self.allows_shared(endpoint) or bool(self.list_usable(endpoint))


NO_CREDENTIALS = WorkspaceCredentials()


def restrict_choice(
    served: Mapping[str, Sequence[Endpoint]],
    requested: Collection[str],
    credentials: WorkspaceCredentials,
) -> Mapping[str, Sequence[Endpoint]]:
    """Remove the endpoints that this caller cannot use from a router's choice.

    Requested models keep all their endpoints, so that an error can name the reason.
    """
    if not credentials.by_provider:
        return served
    return {
        slug: each if slug in requested else [step for step in each if credentials.may_call(step)]
        for slug, each in served.items()
    }


def plan_credentials(plan: Plan, credentials: WorkspaceCredentials) -> Plan:
    """Return the plan with a step for each usable key. Raises NoEndpointError if none is left.

    Within each model the caller's prioritised keys go first, and fallback keys last.
    """
    if not credentials.by_provider:
        return plan
    steps: list[PlanStep] = []
    for _, group in groupby(plan.steps, key=lambda each: each.endpoint.model):
        steps_by_rank = [entry for step in group for entry in _list_steps(step, credentials)]
        steps_by_rank.sort(key=lambda entry: entry[0])  # stable: the plan's order within each rank
        steps += [step for _, step in steps_by_rank]
    excluded = tuple(
        Exclusion(each.endpoint.provider, each.endpoint.model, "byok_required")
        for each in plan.steps
        if not credentials.may_call(each.endpoint)
    )
    if not steps:
        names = ", ".join(sorted({each.provider for each in excluded}))
        raise NoEndpointError(
            f"Only the workspace's own keys may be used with {names}, and none of them is enabled "
            "and allowed for this model: see GET /api/v1/byok.",
            param="model",
        )
    if steps[0].endpoint.is_byok:  # native batches use the installation's key
        steps = [replace(each, endpoint=replace(each.endpoint, batched=False)) for each in steps]
    return replace(plan, steps=steps, excluded=(*plan.excluded, *excluded))


FIRST, SHARED, LAST = range(3)


def _list_steps(
    step: PlanStep, credentials: WorkspaceCredentials
) -> Iterator[tuple[int, PlanStep]]:
    """Yield the rank and the plan step for each key that may call an endpoint."""
    for key in credentials.list_usable(step.endpoint):
        endpoint = replace(step.endpoint, credential=key.id, batched=False)
        reason = f"{step.reason}, with your key {key.name}"
        yield LAST if key.is_fallback else FIRST, PlanStep(endpoint, reason)
    if credentials.allows_shared(step.endpoint):
        yield SHARED, step
