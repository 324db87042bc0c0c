"""Return the error types that suit a recorded error, by its status and its text."""

from broker.completion import ErrorType as T

BY_STATUS = {
    400: {T.INVALID_REQUEST},
    401: {T.AUTHENTICATION},
    402: {T.PAYMENT_REQUIRED},
    403: {T.PERMISSION_DENIED},
    404: {T.NOT_FOUND},
    408: {T.TIMEOUT},
    413: {T.PAYLOAD_TOO_LARGE},
    422: {T.UNPROCESSABLE, T.INVALID_REQUEST},
    429: {T.RATE_LIMIT_EXCEEDED},
    500: {T.PROVIDER_UNAVAILABLE},
    502: {T.PROVIDER_UNAVAILABLE},
    503: {T.PROVIDER_UNAVAILABLE},
    504: {T.TIMEOUT},
    529: {T.PROVIDER_OVERLOADED},
}
SAYS = {
    "incorrect api key": {T.AUTHENTICATION},
    "security token": {T.AUTHENTICATION},
    "maximum context length": {T.CONTEXT_LENGTH_EXCEEDED},
    "error while downloading": {T.IMAGE_DOWNLOAD_FAILED},
    "unsupported image": {T.UNSUPPORTED_IMAGE_FORMAT},
    "invalid image": {T.INVALID_IMAGE},
    "throttled": {T.PROVIDER_OVERLOADED},
    "overloaded": {T.PROVIDER_OVERLOADED},
    "credit balance": {T.PAYMENT_REQUIRED},
}


def suiting(status: int, body: str) -> set[T]:
    spoken = body.lower()
    for phrase, types in SAYS.items():
        if phrase in spoken:
            return types
    return BY_STATUS[status]
