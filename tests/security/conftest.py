"""An API in this process, on a database of the test's own."""

from tests.api.conftest import api, quick_passwords

__all__ = ["api", "quick_passwords"]
