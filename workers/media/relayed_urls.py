"""Check of the URLs in a body that the provider fetches itself."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import dropwhile, islice
from typing import Any
from urllib.parse import urlsplit

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from broker.security.egress import Address, Network, Policy, RefusedError, Target, is_allowed, parse
from workers.egress.transport import resolve

READ = ("messages", "input", "prompt", "tools", "image", "images")
"""Fields of a body in which a provider looks for something to fetch."""
UNREAD = ("function", "parameters", "text", "arguments", "metadata", "annotations", "citations")
"""Names below them with text, a schema, or references of an earlier answer."""
IS_A_URL = re.compile(r"(?:.*[_-])?ur[li]", re.IGNORECASE)
MAY_BE_A_URL = re.compile(r"(?:.*[_-])?(?:data|image|file|audio|video)", re.IGNORECASE)
SCHEME = re.compile(r"(?!data:)[a-z][a-z0-9+.-]{0,20}:([/\\]?)", re.IGNORECASE)
BASE64 = re.compile(r"[A-Za-z0-9+/=]*")
HEAD = 64  # characters that decide whether a string is a URL
CHECKED_AT_ONCE = 8
RESOLVE_SECONDS = 5.0

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


async def ask_resolver(host: str, port: int) -> Sequence[Address]:
    """Ask the system's resolver in a thread. Raises OSError where there is no such name."""
    async with asyncio.timeout(RESOLVE_SECONDS):
        return await asyncio.to_thread(resolve, host, port)


async def refuse_private_urls(
    body: Json,
    base_url: str,
    networks: Sequence[Network],
    opens: tuple[str, ...] = (),
    ask: Resolve = ask_resolver,
) -> Failure | None:
    """Return the failure of a body with a URL that its provider must not fetch, or None.

    `networks` are those that the operator allows; `opens` are prefixes only this provider opens.
    """
    urls = [url for url in dict.fromkeys(_urls(body)) if not url.startswith(opens or ("\0",))]
    if not urls:
        return None
    policy = Policy(networks=networks, http=True, any_port=True)
    is_private = await _is_private(base_url, ask)
    turns = asyncio.Semaphore(CHECKED_AT_ONCE)

    async def check(url: str) -> Failure | None:
        try:
            async with turns:
                await _check(url, policy, ask if is_private else None)
        except RefusedError as refusal:
            return _failure(url, refusal)
        return None

    found = await asyncio.gather(*map(check, urls))
    return next(filter(None, found), None)


def _urls(body: Json) -> Iterator[str]:
    """Yield every URL in a body that a provider may fetch, at any depth."""
    waiting: list[tuple[str, Any]] = [(name, body[name]) for name in READ if name in body]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [pair for pair in value.items() if pair[0] not in UNREAD]
        elif isinstance(value, list):
            waiting += [(name, each) for each in value]
        elif isinstance(value, str) and _is_url(name, value):
            yield value


def _is_url(name: str, value: str) -> bool:
    """Return whether a string is a URL. Data and file names have no slash after a colon.

    Data in base64 may begin with two slashes, as a URL without a scheme does.
    """
    head = _head(value)
    if head[:2].replace("\\", "/") == "//":
        has_slash = not BASE64.fullmatch(head)
    elif scheme := SCHEME.match(head):
        has_slash = bool(scheme[1])
    else:
        return False
    return bool(IS_A_URL.fullmatch(name) or (has_slash and MAY_BE_A_URL.fullmatch(name)))


def _head(value: str) -> str:
    """Return the beginning of a string as URL parsers read it.

    They ignore whitespace and control characters before a URL, and line breaks and tabs inside it.
    """
    text = dropwhile(str.isspace, filter(str.isprintable, value))
    return "".join(islice(text, HEAD))


async def _check(url: str, policy: Policy, ask: Resolve | None) -> None:
    """Raise RefusedError for a URL that may not be passed on; `ask` resolves its name."""
    target = parse(url, policy)
    if ask is None or target.address is not None:
        return
    if _is_local_name(target.host):
        raise RefusedError("the host is a name of a local network")
    if not all(is_allowed(each, policy.networks) for each in await _addresses(target, ask)):
        raise RefusedError("the host has an address that is not public")


async def _is_private(base_url: str, ask: Resolve) -> bool:
    """Return whether a provider is on a private network."""
    literal = _is_literally_public(base_url)
    if literal is not None:
        return not literal
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    addresses = await _addresses(Target(parts.scheme, host, parts.port or 443), ask)
    return not addresses or not all(map(is_allowed, addresses))


@lru_cache(maxsize=1_000)
def _is_literally_public(base_url: str) -> bool | None:
    """Return whether the host of a URL is public, or None where DNS has to decide."""
    try:
        target = parse(base_url, Policy(http=True, any_port=True))
    except RefusedError:
        return False
    if target.address is not None:
        return True  # `parse` refuses others
    return False if _is_local_name(target.host) else None


def _is_local_name(host: str) -> bool:
    return "." not in host or host.endswith((".localhost", ".lan", ".home.arpa"))


async def _addresses(target: Target, ask: Resolve) -> Sequence[Address]:
    try:
        return await ask(target.host, target.port)
    except (OSError, UnicodeError, TimeoutError):
        return ()


def _failure(url: str, refusal: RefusedError) -> Failure:
    shown = url.partition("?")[0][:200]
    return Failure(
        AttemptOutcome.NOT_SENT,
        ErrorType.INVALID_REQUEST,
        f"{shown} may not be passed on to a provider: {refusal}.",
    )
