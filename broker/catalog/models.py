"""A model with its endpoints, and offers of it from sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.providers.endpoint_stats import EndpointKey
from broker.providers.endpoints import Endpoint
from broker.values import immutable


@immutable
class Model:
    """One model with all its endpoints."""

    slug: str
    name: str
    description: str = ""
    created: int = 0  # Unix seconds of its release; 0 = unknown
    knowledge_cutoff: str | None = None  # an ISO date, or the beginning of one
    context_length: int | None = None
    max_completion_tokens: int | None = None
    input_modalities: Sequence[str] = ("text",)
    output_modalities: Sequence[str] = ("text",)
    supported_parameters: Sequence[str] | None = None
    endpoints: Sequence[Endpoint] = field(default_factory=tuple)

    @property
    def expires(self) -> str | None:
        """Return the ISO date on which its last endpoint is retired, if all have one."""
        days = [each.expires for each in self.endpoints]
        return max((day for day in days if day), default=None) if all(days) else None

    @property
    def retired(self) -> bool:
        """Return whether every endpoint of it is retired."""
        return bool(self.endpoints) and all(each.retired for each in self.endpoints)


@immutable
class Offer:
    """The facts that a source states about a model at a provider. None means not stated."""

    endpoint: Endpoint  # modalities and parameters are None where not stated
    name: str | None = None
    created: int | None = None
    knowledge_cutoff: str | None = None
    output_modalities: Sequence[str] | None = None
    expires: str | None = None  # the ISO date of its retirement there
    deprecated: bool | None = None  # its provider deprecates it without a date

    @property
    def key(self) -> EndpointKey:
        return self.endpoint.key


@dataclass(frozen=True, slots=True)
class Listing:
    """An offer in an external list, which may state only some prices."""

    offer: Offer  # without a price
    prices: Mapping[str, int]  # by the names of `Price`, in its units
    tiers: Mapping[int, Mapping[str, int]] = field(default_factory=dict)  # by min_prompt_tokens
    as_stated: bool = False
