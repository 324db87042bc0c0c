"""State why the jobs of a provider's batch go elsewhere."""

from broker.completion import AttemptOutcome, ErrorType, Failure

NOT_IN_TIME = Failure(
    AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT, "The provider took no batch with it in time."
)
UNCONFIRMED_CREATION = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider may have accepted the batch, but never said so.",
)
NO_STATUS = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider did not say how far the batch was until its time was up.",
)
NO_RESULTS = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider ended the batch and did not hand out its results; it may have billed them.",
)
NEVER_ENDED = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.TIMEOUT,
    "The provider did not end the batch in time; what it had done may have been billed.",
)
GONE_UPSTREAM = Failure(
    AttemptOutcome.UNKNOWN,
    ErrorType.PROVIDER_UNAVAILABLE,
    "The provider knows the batch no longer; what it had done may have been billed.",
)
