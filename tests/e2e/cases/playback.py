"""A provider that answers with exact bytes and records what it was sent."""

import base64
import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

HOLD_SECONDS = 12.0
COMMENT_SECONDS = 0.5


@dataclass(frozen=True)
class Sent:
    """One request as the provider received it."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Recording:
    """The answers of one provider and the requests that it received."""

    answers: list[Mapping[str, Any]] = field(default_factory=list)
    requests: list[Sent] = field(default_factory=list)

    def choose(self, name: str, request: Sent) -> Mapping[str, Any]:
        """Return the answer for this request: by its `for`, else the first one."""
        for answer in self.answers:
            wanted = answer.get("for")
            if wanted in (None, name) or _is_for(str(wanted), request):
                return answer
        raise LookupError(f"no answer for {name}: {request.path}")


def _is_for(wanted: str, request: Sent) -> bool:
    prefix = "requests that contain "
    if wanted.startswith(prefix):
        return wanted.removeprefix(prefix).encode() in request.body
    return wanted == "all others"


class Playback:
    """Serve recordings on one port; the first segment of the path names the recording."""

    def __init__(self) -> None:
        self.recordings: dict[str, Recording] = {}
        self.names: dict[str, str] = {}
        playback = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                playback.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.closing = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: socketserver.StreamRequestHandler) -> None:
        """Answer the requests of one connection until it has to end."""
        try:
            while (request := _read(handler)) is not None:
                segment = request.path.split("/")[1]
                recording = self.recordings[segment]
                recording.requests.append(request)
                answer = recording.choose(self.names.get(segment, segment), request)
                if not self._play(handler.connection, answer):
                    return
        except (ConnectionError, TimeoutError, ValueError):
            return  # the caller closed the connection

    def _play(self, connection: socket.socket, answer: Mapping[str, Any]) -> bool:
        """Send one answer; return whether the connection may carry another."""
        pieces = list(_pieces(answer))
        chunked = answer["framing"] == "chunked"
        head = list(answer["head"])
        if chunked:
            head.append("transfer-encoding: chunked")
        else:
            head.append(f"content-length: {sum(map(len, pieces))}")
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        for piece in pieces:
            connection.sendall(_chunk(piece) if chunked else piece)
        return self._end(connection, answer["end"], chunked=chunked)

    def _end(self, connection: socket.socket, end: str, *, chunked: bool) -> bool:
        if end == "proper":
            if chunked:
                connection.sendall(b"0\r\n\r\n")
            return True
        if end == "reset":
            time.sleep(0.05)  # what was sent must leave before the reset discards it
            option = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        elif end.startswith("hold-open"):
            self.closing.wait(HOLD_SECONDS)
        elif end.startswith("comments"):
            until = time.monotonic() + HOLD_SECONDS
            while time.monotonic() < until and not self.closing.wait(COMMENT_SECONDS):
                connection.sendall(_chunk(b": comment\n\n"))
        return False


def _read(handler: socketserver.StreamRequestHandler) -> Sent | None:
    line = handler.rfile.readline()
    if not line.strip():
        return None
    headers: dict[str, str] = {}
    while (raw := handler.rfile.readline()).strip():
        name, _, value = raw.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    return Sent(line.decode().split(" ")[1], headers, body)


def _pieces(answer: Mapping[str, Any]) -> Iterator[bytes]:
    if "body_base64" in answer:
        encoded = answer["body_base64"]
        for piece in [encoded] if isinstance(encoded, str) else encoded:
            yield base64.b64decode(piece)
        return
    for piece in answer["body"]:
        if isinstance(piece, str):
            yield piece.encode("utf-8", "surrogatepass")
        else:
            yield piece["repeat"].encode() * int(piece["times"])


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
