"""The style sheet, the logo and the scripts of all pages: /assets/{version}/{name}.

The version is a hash of the files, so that browsers may keep each for good.
"""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from broker.errors import NotFoundError

router = APIRouter(include_in_schema=False)
DIRECTORY = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
YEAR_SECONDS = 31_536_000


@cache
def list_assets() -> dict[str, bytes]:
    """Return the content of each file, by its name."""
    return {path.name: path.read_bytes() for path in sorted(DIRECTORY.iterdir())}


@cache
def find_version() -> str:
    """Return a text that changes with the content of any file."""
    digest = hashlib.sha256()
    for name, content in list_assets().items():
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:12]


def asset_path(name: str) -> str:
    """Return the path of a file, with the version."""
    return f"/assets/{find_version()}/{name}"


@router.get("/assets/{version}/{name}")
async def get_asset(version: str, name: str) -> Response:
    """Return a file. A browser keeps it as long as the path has the present version."""
    content = list_assets().get(name)
    if content is None:
        raise NotFoundError(f"There is no asset {name!r}.")
    is_current = version == find_version()
    kept = f"public, max-age={YEAR_SECONDS}, immutable" if is_current else "no-store"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)


@router.get("/favicon.ico")
async def get_favicon() -> Response:
    """Return the logo to browsers that ask without a link."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(list_assets()["logo.svg"], media_type="image/svg+xml", headers=headers)
