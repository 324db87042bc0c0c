"""Bodies of the operations besides chat: OpenAI's fields, and OpenRouter's for rerank and sound.

Of these only text completions can be streamed; `stream: true` is refused for the others.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from broker.requests.bodies.chat import ChatRequest, StreamOptions
from broker.requests.data_uris import read_sound
from broker.requests.operations import Operation

Slug = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=8192)]


class _Open(BaseModel):
    """Unknown fields pass: providers know more than we do."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Slug | None = None
    models: list[str] | None = None
    user: str | None = None
    coalesce: bool | None = None


class EmbeddingRequest(_Open):
    input: Text | Tokens | Annotated[list[Text | Tokens], Field(min_length=1, max_length=2048)]
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None


class ImageRequest(_Open):
    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    output_format: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: Literal[False] | None = None


class TextCompletionRequest(_Open):
    prompt: str | list[str] | list[int] | list[list[int]]
    max_tokens: Positive | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    suffix: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class RerankRequest(_Open):
    query: Text
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=10_000)]
    top_n: Positive | None = None
    return_documents: bool | None = None


def _encoded(text: str) -> str:
    """Refuse what is neither base64 nor a data URI; the text itself travels on."""
    read_sound(text)
    return text


class Sound(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    data: Annotated[str, Field(min_length=1), AfterValidator(_encoded)]
    format: str | None = None


class TranscriptionRequest(_Open):
    input_audio: Sound
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] | None = None
    stream: Literal[False, "false"] | None = None  # a form has only texts


class SpeechRequest(_Open):
    input: Annotated[str, Field(min_length=1, max_length=4096)]
    voice: str | dict[str, Any]
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None
    stream_format: Literal["audio"] | None = None


SCHEMAS: dict[Operation, type[BaseModel]] = {
    Operation.CHAT: ChatRequest,
    Operation.COMPLETIONS: TextCompletionRequest,
    Operation.EMBEDDINGS: EmbeddingRequest,
    Operation.IMAGES: ImageRequest,
    Operation.RERANK: RerankRequest,
    Operation.TRANSCRIPTIONS: TranscriptionRequest,
    Operation.SPEECH: SpeechRequest,
}
