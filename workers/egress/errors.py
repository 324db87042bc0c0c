"""What the guard says of an answer; what it says of a URL is `broker.egress.RefusedError`."""


class TooLargeError(Exception):
    """The answer is longer than its reader will take; what was read until here is good."""
