"""What holds for every exchange, whichever route answers it."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.errors import RequestTimeoutError

BODY_SECONDS = 60.0  # until the next piece of a body


class NoStalling:
    """Gives up a request whose body stalls. Once it is there, an answer may take its time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_waiting = scope["type"] == "http"

        async def receive_in_time() -> Message:
            nonlocal is_waiting
            if not is_waiting:
                return await receive()
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeoutError from None
            is_waiting = bool(message.get("more_body"))
            return message

        await self._app(scope, receive_in_time, send)
