"""The one thing ASGI has no word for: breaking the connection."""

import socket
import struct
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION: Final = "simulator.connection"
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # linger on, for no time: close() sends RST


class BreakableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which offers itself to the application as an ASGI extension."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]

    def close(self) -> None:
        """Send what was written, then close without ending the answer."""
        self.transport.close()

    def reset(self) -> None:
        """Reset the connection; what was not sent yet is lost."""
        connection: socket.socket = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()
