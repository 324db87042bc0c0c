"""An endpoint: one model at one provider."""

from dataclasses import field

from broker.pricing import Price
from broker.providers.endpoint_stats import EndpointKey
from broker.requests import parameters
from broker.requests.hints import NO_HINTS
from broker.requests.operations import Interface
from broker.values import immutable


@immutable
class DataPolicy:
    """A provider's use of prompts. None means unknown and counts as the worst case."""

    trains: bool | None = None  # prompts are used to train models
    retention_days: int | None = None  # prompts are stored this long; 0 = not at all
    zdr: bool = False  # promises zero data retention

    @property
    def collects(self) -> bool:
        """Return whether it may train on prompts (OpenRouter's `data_collection: deny`)."""
        return self.trains is not False


UNKNOWN_POLICY = DataPolicy()


@immutable
class Endpoint:
    """One model at one provider, with its price and limits."""

    provider: str
    model: str  # model slug, `author/name`
    native: str  # the provider's own name for it
    price: Price = field(default_factory=Price)
    context_length: int | None = None
    max_completion_tokens: int | None = None
    quantization: str | None = None
    supported_parameters: frozenset[str] | None = None  # None = all
    input_modalities: frozenset[str] | None = None  # None = unknown: nothing is refused
    output_modalities: frozenset[str] = frozenset({"text"})
    data_policy: DataPolicy = UNKNOWN_POLICY
    interface: Interface = Interface.PATHS  # the API of the provider that serves it
    expires: str | None = None  # ISO date of its retirement there, if announced
    retired: bool = False  # not chosen by routers; requests that name it still use it
    distillable: bool = False  # its license allows training other models on its text
    batched: bool = False  # the provider has a batch API for this operation
    wire: str | None = None  # of its provider, as far as the plan needs it
    hints: frozenset[str] = NO_HINTS  # likewise, those that its provider takes
    credential: str | None = None  # id of a workspace credential; None = the installation's key

    @property
    def key(self) -> EndpointKey:
        return self.provider, self.model

    @property
    def is_byok(self) -> bool:
        """Return whether it is called with a workspace credential."""
        return self.credential is not None

    def takes(self, modalities: frozenset[str]) -> bool:
        """Return whether these input modalities may be sent to it."""
        return self.input_modalities is None or modalities <= self.input_modalities

    def lacks(self, requested: frozenset[str]) -> frozenset[str]:
        """Return which of these parameters it does not support."""
        if self.supported_parameters is None:
            return requested - parameters.limit_to_interface(requested, self.interface)
        return requested - parameters.normalize(self.supported_parameters)
