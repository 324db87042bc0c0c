"""The failure of a body that cannot be made to fit. It is the request's own fault."""

from broker.completion import AttemptOutcome, ErrorType, Failure
from workers.adapters.media import MediaKind


class UnfitError(Exception):
    """Nothing was sent; `failure` says why."""

    def __init__(self, message: str, error_type: ErrorType = ErrorType.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.failure = Failure(AttemptOutcome.NOT_SENT, error_type, message)


def unfit(medium: MediaKind, message: str, image_error: ErrorType) -> UnfitError:
    """Return the error, by the name that images have for it where it is one."""
    if medium is MediaKind.IMAGE:
        return UnfitError(message, image_error)
    return UnfitError(message)
