"""Retired words, each with the word to use instead (docs/reference/glossary.md).

An entry is a regular expression without word boundaries, and its replacement.
"""

import re

RETIRED = (
    (r"lit up|lights? up|is lit|not lit", "configured, enabled"),
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
    (r"seal(?:s|ed|ing)?", "chain (ledger entries) or encrypt (secrets)"),
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
