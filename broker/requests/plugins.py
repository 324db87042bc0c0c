"""A body's `plugins`, OpenRouter's server tools, and the file parser's settings. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker.completion import Json
from broker.errors import InvalidRequestError

CONTEXT_COMPRESSION = "context-compression"
RESPONSE_HEALING = "response-healing"
FILE_PARSER = "file-parser"
AUTO_ROUTER, PARETO_ROUTER = "auto-router", "pareto-router"
KNOWN = (FILE_PARSER, RESPONSE_HEALING, CONTEXT_COMPRESSION, AUTO_ROUTER, PARETO_ROUTER)
MIDDLE_OUT = "middle-out"
NO_WEB = "Waybill searches no web: choose a model that does, or give it a tool for it"
SERVER_TOOL = "openrouter:"  # prefix of the types of OpenRouter's server tools


def find(plugins: Any, id_: str) -> Json | None:
    """Return a plugin's settings, or None where the body does not name it."""
    for plugin in plugins if isinstance(plugins, list) else ():
        if isinstance(plugin, dict) and plugin.get("id") == id_:
            return plugin
    return None


def is_on(settings: Json) -> bool:
    return settings.get("enabled") is not False


def check(body: Json) -> None:
    """Raise InvalidRequestError for a setting that would be ignored."""
    plugins = body.get("plugins")
    _refuse_unknown(plugins)
    _refuse_server_tools(body.get("tools"))
    engine = (find(plugins, CONTEXT_COMPRESSION) or {}).get("engine", MIDDLE_OUT)
    if engine != MIDDLE_OUT:
        raise InvalidRequestError(
            f"plugins: {CONTEXT_COMPRESSION} has no engine {engine!r}; there is {MIDDLE_OUT}.",
            param="plugins",
        )
    retry = (find(plugins, RESPONSE_HEALING) or {}).get("retry", False)
    if not isinstance(retry, bool):
        raise InvalidRequestError(
            f"plugins: {RESPONSE_HEALING} has `retry`: true or false, not {retry!r}.",
            param="plugins",
        )
    unknown = [each for each in body.get("transforms") or () if each != MIDDLE_OUT]
    if unknown:
        raise InvalidRequestError(
            f"transforms: there is no {unknown[0]!r}; there is {MIDDLE_OUT}.", param="transforms"
        )


def _refuse_unknown(plugins: Any) -> None:
    for position, plugin in enumerate(plugins if isinstance(plugins, list) else ()):
        if not isinstance(plugin, dict) or plugin.get("id") in KNOWN or not is_on(plugin):
            continue
        id_ = str(plugin.get("id"))
        hint = NO_WEB if id_.startswith("web") else "leave it out"
        field = f"plugins.{position}.id"
        raise InvalidRequestError(
            f"{field}: there is no plugin {id_[:64]!r} here ({hint}). Known: {', '.join(KNOWN)}.",
            param=field,
        )


def _refuse_server_tools(tools: Any) -> None:
    for position, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = str(tool.get("type")) if isinstance(tool, dict) else ""
        if kind.startswith(SERVER_TOOL):
            field = f"tools.{position}.type"
            raise InvalidRequestError(
                f"{field}: {kind[:64]!r} runs on OpenRouter's servers, and is not here. Give the "
                "model a tool of type `function`, and run it yourself.",
                param=field,
            )


class Engine(StrEnum):
    """The engine that prepares a PDF for the model."""

    NATIVE = "native"  # as it is, to models that take files
    TEXT = "pdf-text"  # its text layer
    CLOUDFLARE = "cloudflare-ai"  # OpenRouter's equivalent of pdf-text; here the same
    OCR = "mistral-ocr"  # Mistral's OCR
    LOCAL = "local-ocr"  # OCR of every page on this installation


TEXT_LAYER = frozenset({Engine.TEXT, Engine.CLOUDFLARE})
"""Engines that read the text layer only."""

READ_HERE = frozenset(Engine) - {Engine.NATIVE}
"""Engines after which no model gets the file itself."""


@dataclass(frozen=True, slots=True)
class FileParser:
    """The plugin's settings; without an engine the model decides."""

    engine: Engine | None = None
    enabled: bool = True
    max_pages: int | None = None  # of each file; the rest is left out
    languages: tuple[str, ...] = ()  # of the local OCR, as Tesseract names them

    @property
    def must_be_native(self) -> bool:
        return not self.enabled or self.engine is Engine.NATIVE

    @property
    def must_be_read(self) -> bool:
        return self.enabled and self.engine in READ_HERE

    def reads_picture(self, *, is_file: bool) -> bool:
        """Return whether a model that accepts no images gets the text of a picture.

        A picture that is sent as a file is a page. Another one is a page if the caller names an
        engine for OCR.
        """
        if self.must_be_native:
            return False
        return is_file or self.engine in (Engine.OCR, Engine.LOCAL)


def read_file_parser(plugins: Any) -> FileParser:
    """Read a body's `plugins`. Raises InvalidRequestError for an unknown engine."""
    settings = find(plugins, FILE_PARSER)
    if settings is None:
        return FileParser()
    pdf = settings.get("pdf")
    pdf = pdf if isinstance(pdf, dict) else {}
    return FileParser(
        _engine(pdf.get("engine")),
        is_on(settings),
        _read_max_pages(pdf.get("max_pages")),
        _read_languages(pdf.get("languages")),
    )


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


def _read_max_pages(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(
            f"plugins: `pdf.max_pages` of {FILE_PARSER} is a number of pages from 1, "
            f"not {value!r}.",
            param="plugins",
        )
    return value


MAX_LANGUAGES = 5
_LANGUAGE = re.compile(r"[a-z]{3}(_[a-z]{2,8}){0,2}", re.IGNORECASE)


def _read_languages(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    names = value if isinstance(value, list) else [value]
    if not 0 < len(names) <= MAX_LANGUAGES or not all(_is_language(name) for name in names):
        raise InvalidRequestError(
            f"plugins: `pdf.languages` of {FILE_PARSER} is a list of up to {MAX_LANGUAGES} "
            'languages as Tesseract names them, such as ["rus", "chi_sim"].',
            param="plugins",
        )
    return tuple(names)


def _is_language(name: Any) -> bool:
    return isinstance(name, str) and _LANGUAGE.fullmatch(name) is not None
