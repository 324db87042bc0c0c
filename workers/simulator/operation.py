"""What is asked once and answered whole."""

from abc import abstractmethod
from collections.abc import Iterable

from workers.simulator.bodies import json_call
from workers.simulator.openai_errors import OpenAIWire
from workers.simulator.requests import Json, Reply, Request, invalid
from workers.simulator.wire import Head


class Operation(OpenAIWire):
    """An endpoint that takes a JSON object and never streams."""

    def read(self, head: Head, body: bytes) -> Request:
        call = json_call(body)
        try:
            return self.understand(call, head)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise invalid("The request does not have the shape of this endpoint's") from error

    @abstractmethod
    def understand(self, call: Json, head: Head) -> Request:
        """Return the request. May raise RefusedError, and what a wrong shape raises."""

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        yield self.answer(request, reply)
