"""The answer of a provider over HTTP, with its body unread."""

from collections.abc import AsyncIterator, Mapping

import aiohttp

from workers.upstream.decompression import find_codings, unpack

PIECE_BYTES = 16 * 1024
"""The most that one piece of a body has; a shorter piece is all that has come so far."""


class ProviderResponse:
    """Status, headers and body of an answer. The names of the headers are in lower case."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = _join_headers(response)
        self._codings = find_codings(self.headers)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body, decompressed. Raises aiohttp.ClientError."""
        pieces = self._response.content.iter_chunked(PIECE_BYTES)
        return unpack(pieces, self._codings) if self._codings else aiter(pieces)


def _join_headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """Return the headers; the values of a repeated one are joined by commas (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in response.headers.items():
        lowered = name.lower()
        joined[lowered] = f"{joined[lowered]}, {value}" if lowered in joined else value
    return joined
