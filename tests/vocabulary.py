"""Retired words, each with the word to use instead (docs/reference/glossary.md).

An entry is a regular expression without word boundaries, and its replacement.
"""

import io
import re
import tokenize
from pathlib import Path

RETIRED = (
    (r"lit|unlit|lights? up", "configured, enabled"),
    (r"house|houses", "installation, server or supervisor"),
    (r"toolbox", "worker context"),
    (r"purses?", "balance"),
    (r"insists?|insisting", "retry until stored"),
    (r"dice", "seed"),
    (r"called off|calls? off", "cancelled, cancel"),
    (r"put off", "deferred"),
    (r"detours?", "skip"),
    (r"ailments?", "failed check"),
    (r"troubles?", "errors"),
    (r"(?:un)?seal(?:s|ed|ing)?", "chain (ledger entries) or encrypt (secrets)"),
    (r"dear|dearer|dearest", "expensive, costs more"),
    (r"mend(?:s|ed|ing)?", "repair"),
    (r"stamping", "signature headers"),
    (r"unheard", "unconfirmed"),
    (r"at rest", "terminal"),
    (r"homeless", "unroutable"),
    (r"circumstances", "routing context"),
    (r"warm|warmth|warmer", "cache affinity"),
    (r"evidence", "endpoint stats"),
    (r"patient|courteous|patience", "low priority, yielding"),
    (r"forgetting|forgotten", "retention, deleted"),
    (r"wish|wishes|wished", "request, options"),
    (r"misspelt", "unknown"),
    (r"anew", "again"),
    (r"tells?|told|telling", "report, publish, show, message"),
    (r"whoever|whomever", "the caller, the user"),
    (r"nobody knows|somebody says", "unknown, a person decides"),
    (r"hands|handed over|handed back", "returned, passed on"),
    (r"for ever", "without end"),
    (r"heed(?:s|ed)?|bethink", "follow"),
    (r"in earnest", "in production"),
    (r"hears? of|heard of", "is notified of, receives"),
    (r"knocks?", "check"),
    (r"bears?|borne", "accept"),
    (r"purport(?:s|ed)?", "claim"),
    (r"stands? in lines?", "wait in flows of the fair queue"),
    (r"feeding|feeds?", "publish, queue depth"),
    (r"pretended", "simulated"),
    (r"asked for", "requested"),
    (r"asks (?:the|its|a|each) (?:provider|server|database|worker)s?", "request"),
)
"""(retired expression, replacement)"""

_RETIRED = re.compile("|".join(rf"\b(?:{word})\b" for word, _ in RETIRED), re.IGNORECASE)


def find_retired(text: str) -> list[str]:
    """Return the retired words in a text, in order, as they are written there."""
    return [match[0] for match in _RETIRED.finditer(text)]


RETIRED_IN_CODE = (
    *("house", "toolbox", "purse", "insist", "dice", "ailment", "detour", "homeless", "misspelt"),
    *("told", "tell", "tells", "telling", "wish", "wishes", "wished", "dear", "dearer", "dearest"),
    *("seal", "seals", "sealed", "sealing", "unsealed", "mend", "mends", "mended", "mending"),
    *("lit", "unlit", "anew", "heed", "heeds", "heeded", "purport", "purports", "purported"),
    *("patient", "courteous", "circumstances", "unheard", "whoever", "whomever", "bethink"),
    *("forgotten", "forgetting", "pretended", "borne"),
)
"""Retired words that code may not use either, because they have no other meaning there."""

PUBLIC = {
    ("api/jobs/delete_after_delivery.py", "forgotten"): "a reason in errors of the API",
    ("broker/security/encryption.py", "sealing"): "a part of the key that encrypts stored secrets",
    ("broker/storage/tables/accounts.py", "sealed"): "the name of a column",
    ("broker/storage/tables/billing.py", "unsealed"): "the name of an index",
    ("workers/runtime/composition.py", "forgetting"): "the name of a leader's lease",
    ("cli/commands/run/results.py", "wish"): "a key of state files that earlier versions wrote",
    ("cli/commands/demo/command.py", "tell"): "a prompt in an example",
}
"""Words that stay, by file, with the reason."""

_TEXTS = frozenset(
    {
        *(tokenize.NAME, tokenize.STRING, tokenize.COMMENT),
        getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING),  # from Python 3.12
    }
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def list_words(source: str) -> list[tuple[int, str]]:
    """Return the words of names, strings and comments in Python code, each with its line."""
    return [
        (token.start[0] + number, word.lower())
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type in _TEXTS
        for number, line in enumerate(token.string.splitlines())
        for word in re.findall(r"[A-Za-z]+", _HUMP.sub(" ", line))
    ]


def find_retired_in_code(path: Path, root: Path) -> list[str]:
    """Return the retired words in a file of Python code, as `path:line: word`."""
    name = path.relative_to(root).as_posix()
    return [
        f"{name}:{line}: {word}"
        for line, word in list_words(path.read_text())
        if word in RETIRED_IN_CODE and (name, word) not in PUBLIC
    ]
