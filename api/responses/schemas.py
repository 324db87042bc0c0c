"""Bodies and parameters of the Responses API, as the OpenAPI document describes them."""

from typing import Annotated, TypeAlias

from fastapi import Path, Query
from fastapi.params import Depends as Dependency

from api.core.bodies import DescribedBody
from broker.completion import Json
from broker.dialects.responses.schemas import ResponseRequest

EXAMPLE: Json = {"model": "acme/small", "input": "Say hello in one sentence."}

RESPONSE_BODY = Dependency(DescribedBody(ResponseRequest, EXAMPLE))

ResponseId: TypeAlias = Annotated[
    str, Path(description="The id of the response (`resp_…`), of its job or of its generation.")
]


async def _ignore_include(
    _: Annotated[
        list[str] | None,
        Query(alias="include", description="Accepted, without effect: all is returned."),
    ] = None,
) -> None:
    """Read nothing."""


async def _ignore_obfuscation(
    _: Annotated[
        bool | None, Query(alias="include_obfuscation", description="Accepted, without effect.")
    ] = None,
) -> None:
    """Read nothing."""


INCLUDE = Dependency(_ignore_include)
OBFUSCATION = Dependency(_ignore_obfuscation)
"""Descriptions of parameters that clients send and that change nothing here."""
