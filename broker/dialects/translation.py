"""Translation by dialect: of the body of a batch line, and of its answer. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from broker.completion import Json
from broker.dialects.base import DialectJob, TranslatedRequest
from broker.dialects.messages.answer import render_message
from broker.dialects.messages.request import translate_request
from broker.dialects.responses import request as responses
from broker.dialects.responses.answer import render_answer
from broker.enums import Dialect
from broker.errors import InvalidRequestError


class Translator(ABC):
    """Translates bodies of a dialect, and answers to it, without anything that is stored."""

    @abstractmethod
    def translate(self, body: Json) -> TranslatedRequest:
        """Return a body in the internal form. Raises InvalidRequestError that names the field."""

    @abstractmethod
    def render(self, job: DialectJob, answer: Json) -> Json:
        """Return a chat completion in the dialect."""


class MessagesTranslator(Translator):
    """Translates Anthropic's Messages API."""

    def translate(self, body: Json) -> TranslatedRequest:
        return translate_request(body)

    def render(self, job: DialectJob, answer: Json) -> Json:
        return render_message(answer, job)


class ResponsesTranslator(Translator):
    """Translates OpenAI's Responses API, as far as one body says all."""

    def translate(self, body: Json) -> TranslatedRequest:
        responses.check_request(body)
        for name, remedy in _NOT_IN_LINES.items():
            if body.get(name):
                raise InvalidRequestError(f"{name}: {remedy}.", param=name)
        return responses.translate_request(body)

    def render(self, job: DialectJob, answer: Json) -> Json:
        return render_answer(job, answer, FIRST_ATTEMPT)


FIRST_ATTEMPT = 1
"""The attempt in the ids of items: those of a line need not be those of its stored response."""

_NOT_IN_LINES = {
    "previous_response_id": "a line of a batch stands alone: send the earlier turns in `input`",
    "background": "the lines of a batch run in the background",
}

TRANSLATORS: Mapping[Dialect, Translator] = {
    Dialect.RESPONSES: ResponsesTranslator(),
    Dialect.MESSAGES: MessagesTranslator(),
}
"""The dialects that lines of a batch may speak."""
