"""Translation by dialect: of the body of a batch line, and of its answer. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from broker.completion import Json
from broker.dialects.base import DialectJob, TranslatedRequest
from broker.dialects.messages.answer import render_message
from broker.dialects.messages.request import translate_request
from broker.enums import Dialect


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


TRANSLATORS: Mapping[Dialect, Translator] = {Dialect.MESSAGES: MessagesTranslator()}
"""The dialects that lines of a batch may speak."""
