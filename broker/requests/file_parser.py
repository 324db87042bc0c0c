"""OpenRouter's `file-parser` plugin: what a body says about how its files are to be read. Pure.

Source: openrouter.ai/docs/features/multimodal/pdfs, "Plugin configuration".
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker.errors import InvalidRequestError
from broker.requests.plugins import FILE_PARSER


class Engine(StrEnum):
    """How a PDF reaches the model."""

    NATIVE = "native"  # as it is, to models that take files
    TEXT = "pdf-text"  # its text, extracted here
    CLOUDFLARE = "cloudflare-ai"  # what OpenRouter has in place of pdf-text: here the same
    OCR = "mistral-ocr"  # there is none here: models that take files see the pages themselves


@dataclass(frozen=True, slots=True)
class FileParser:
    """The plugin's settings; without an engine the model decides."""

    engine: Engine | None = None
    enabled: bool = True

    @property
    def must_be_native(self) -> bool:
        return not self.enabled or self.engine is Engine.NATIVE

    @property
    def must_be_text(self) -> bool:
        return self.enabled and self.engine in (Engine.TEXT, Engine.CLOUDFLARE)


def read_file_parser(plugins: Any) -> FileParser:
    """Read a body's `plugins`. Raises InvalidRequestError for an engine there is not."""
    for plugin in plugins if isinstance(plugins, list) else ():
        if isinstance(plugin, dict) and plugin.get("id") == FILE_PARSER:
            pdf = plugin.get("pdf")
            engine = pdf.get("engine") if isinstance(pdf, dict) else None
            return FileParser(_engine(engine), plugin.get("enabled") is not False)
    return FileParser()


def _engine(name: Any) -> Engine | None:
    if name is None:
        return None
    try:
        return Engine(name)
    except ValueError:
        raise InvalidRequestError(
            f"plugins: {FILE_PARSER} has no PDF engine {name!r}; there are {', '.join(Engine)}.",
            param="plugins",
        ) from None
