"""Bodies of the operations besides chat: OpenAI's fields, and OpenRouter's for rerank and sound.

Text completions, images and speech can be streamed; `stream: true` is refused for the others.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from broker.requests.bodies.chat import ChatRequest, StreamOptions
from broker.requests.bodies.images import ImageEditRequest, ImageRequest, ImageVariationRequest
from broker.requests.bodies.messages import ImageUrl, OpenBody
from broker.requests.bodies.shared import OperationRequest
from broker.requests.data_uris import read_sound
from broker.requests.operations import Operation

Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=8192)]


NotStreamed = Annotated[
    Literal[False, "false"],  # the text, because the fields of a form are texts
    WithJsonSchema({"type": "boolean", "const": False}),
]


class EmbeddingRequest(OperationRequest):
    """Texts to turn into vectors."""

    input: Text | Tokens | Annotated[list[Text | Tokens], Field(min_length=1, max_length=2048)] = (
        Field(description="One text or several, or their tokens.")
    )
    dimensions: Positive | None = Field(None, description="The length of the vectors.")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="The form of the vectors: numbers, or base64."
    )


class TextCompletionRequest(OperationRequest):
    """A text to continue."""

    prompt: str | list[str] | list[int] | list[list[int]] = Field(
        description="One text or several, or their tokens."
    )
    max_tokens: Positive | None = Field(None, description="The most tokens of a continuation.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="The randomness: 0 picks the likeliest token."
    )
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The share of probability of the tokens to choose from."
    )
    n: Annotated[int, Field(ge=1, le=128)] | None = Field(
        None, description="The number of continuations of each prompt."
    )
    stop: str | list[str] | None = Field(None, description="Texts that end the continuation.")
    suffix: str | None = Field(None, description="The text after the continuation.")
    stream: bool | None = Field(None, description="Whether the answer comes as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="Options for the stream.")


class ModeratedText(OpenBody):
    """A text to check."""

    type: Literal["text"] = Field(description="`text`.")
    text: str = Field(description="The text.")


class ModeratedImage(OpenBody):
    """An image to check."""

    type: Literal["image_url"] = Field(description="`image_url`.")
    image_url: ImageUrl = Field(description="The image.")


ModeratedPart = Annotated[ModeratedText | ModeratedImage, Field(discriminator="type")]


class ModerationRequest(OperationRequest):
    """Texts and images to check for harmful content."""

    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=2048)]
        | Annotated[list[ModeratedPart], Field(min_length=1, max_length=2048)]
    ) = Field(description="A text, several texts, or the parts of one input.")


class RerankRequest(OperationRequest):
    """Documents to order by relevance."""

    query: Text = Field(description="The text that the documents are compared with.")
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=10_000)] = (
        Field(description="The documents: texts, or objects with `text`.")
    )
    top_n: Positive | None = Field(None, description="The most documents of the answer.")
    return_documents: bool | None = Field(
        None, description="Whether the answer repeats the documents."
    )


def _check_encoding(text: str) -> str:
    """Raise ValueError for a text that is neither base64 nor a data URI; return it unchanged."""
    read_sound(text)
    return text


class Sound(OpenBody):
    """Sound to transcribe."""

    data: Annotated[str, Field(min_length=1), AfterValidator(_check_encoding)] = Field(
        description="The bytes as base64, or a data URI."
    )
    format: str | None = Field(None, description="The format, e.g. `wav`.")


TranscriptForm = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]


class TranscriptionRequest(OperationRequest):
    """Sound to turn into text."""

    input_audio: Sound = Field(description="The sound.")
    language: str | None = Field(None, description="The language of the sound (ISO 639-1).")
    prompt: str | None = Field(None, description="A text that helps to recognize words.")
    response_format: TranscriptForm | None = Field(None, description="The form of the transcript.")
    temperature: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The randomness: 0 picks the likeliest token."
    )
    timestamp_granularities: list[Literal["word", "segment"]] | None = Field(
        None, description="The parts that get times, with `verbose_json`."
    )
    stream: NotStreamed | None = Field(None, description="False: transcripts are not streamed.")


class SpeechRequest(OperationRequest):
    """A text to speak."""

    input: Annotated[str, Field(min_length=1, max_length=4096)] = Field(description="The text.")
    voice: str | dict[str, Any] = Field(description="The voice, e.g. `alloy`.")
    instructions: str | None = Field(None, description="How to speak.")
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = Field(
        None, description="The format of the sound; `mp3` without it."
    )
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = Field(
        None, description="The speed; 1 is normal."
    )
    stream_format: Literal["audio", "sse"] | None = Field(
        None, description="`audio`: the sound itself; `sse`: server-sent events with it."
    )
    stream: bool | None = Field(
        None, description="Whether the events of the job have the sound as it comes."
    )


SCHEMAS: dict[Operation, type[BaseModel]] = {
    Operation.CHAT: ChatRequest,
    Operation.COMPLETIONS: TextCompletionRequest,
    Operation.EMBEDDINGS: EmbeddingRequest,
    Operation.IMAGES: ImageRequest,
    Operation.IMAGE_EDITS: ImageEditRequest,
    Operation.IMAGE_VARIATIONS: ImageVariationRequest,
    Operation.RERANK: RerankRequest,
    Operation.MODERATIONS: ModerationRequest,
    Operation.TRANSCRIPTIONS: TranscriptionRequest,
    Operation.SPEECH: SpeechRequest,
}
