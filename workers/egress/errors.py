"""What the guard says: the rule that refused, and never what it found."""


class RefusedError(Exception):
    """The URL may not be requested. The text names the rule, and no address but the caller's."""


class TooLargeError(Exception):
    """The answer is longer than its reader will take; what was read until here is good."""
