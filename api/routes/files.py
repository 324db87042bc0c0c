"""GET /files/{id}/content: bytes that an answer refers to, by key or by signed link."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.media import read
from api.services import services
from broker import files
from broker.errors import NotFoundError

router = APIRouter(prefix="/files", tags=["files"])


@router.get("/{file_id}/content")
async def get_file_content(
    request: Request, file_id: str, expires: int = 0, signature: str = ""
) -> Response:
    """Give a stored file: to its workspace's key, or to whoever has a link that still holds."""
    hands = services(request)
    workspace_id = None
    if not hands.signer.holds(file_id, expires, signature):
        workspace_id = (await hands.keyring.principal(request)).workspace_id
    media_type = await hands.database.read(files.media_type, file_id, workspace_id)
    if media_type is None:
        raise NotFoundError(f"There is no file {file_id}.")
    content = await asyncio.to_thread(read, hands, file_id)
    return Response(content, media_type=media_type)
