"""The failure of a body that cannot be made to fit. It is the request's own fault."""

from broker.completion import AttemptOutcome, ErrorType, Failure
from workers.adapters.media import Medium


class UnfitError(Exception):
    """Nothing was sent; `failure` says why."""

    def __init__(self, message: str, error_type: ErrorType = ErrorType.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.failure = Failure(AttemptOutcome.NOT_SENT, error_type, message)


def unfit(medium: Medium, message: str, image_error: ErrorType) -> UnfitError:
    """Return the error, by the name that images have for it where it is one."""
    if medium is Medium.IMAGE:
        return UnfitError(message, image_error)
    return UnfitError(message)
