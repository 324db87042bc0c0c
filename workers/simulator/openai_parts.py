"""What a message of OpenAI's chat API carries, and of Mistral's, where the forms differ."""

from typing import Any

from workers.simulator.attachments import inline, linked
from workers.simulator.requests import Attachment, Json


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content or ()
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def attachments_of(content: Any) -> tuple[Attachment, ...]:
    """Return what is not text. Raises ValueError where it is of no kind there is."""
    if not isinstance(content, list):
        return ()
    return tuple(_attachment(part) for part in content if part["type"] not in ("text", "refusal"))


def _attachment(part: Json) -> Attachment:
    match part["type"]:
        case "image_url":
            return linked(part["image_url"]["url"], "image")
        case "video_url":
            return linked(part["video_url"]["url"], "video")
        case "input_audio":
            sound = part["input_audio"]
            if isinstance(sound, str):  # Mistral's; a data URI or bare base64
                return linked(sound, "sound") if ":" in sound[:8] else inline("audio", sound)
            return inline(f"audio/{sound['format']}", sound["data"])
        case "file":
            file = part["file"]
            return linked(file.get("file_data") or file["file_id"], "document")
        case "document_url":
            return linked(part["document_url"], "document")
    raise ValueError(part["type"])
