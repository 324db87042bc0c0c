"""Fees of vendors' own web search tools, where no price list has them.

Sources: platform.claude.com/docs/en/about-claude/pricing (10 USD per 1,000 searches),
ai.google.dev/gemini-api/docs/pricing ("Grounding with Google Search": 14 USD per 1,000 queries of
Gemini 3, 35 USD per 1,000 grounded prompts of earlier models). `Usage.searches` counts what the
vendor bills.
"""

import re

from broker.money import NANOS_PER_USD

_GEMINI_BY_QUERY = re.compile(r"gemini-(?:[3-9]|\d\d)|-latest$")
_PER_THOUSAND_USD = {"anthropic": 10, "gemini": 35}
_PER_THOUSAND_QUERIES_USD = 14


def search_fee(wire: str, native_model: str) -> int:
    """Return nano-dollars per search; 0 for a wire whose vendors have no search tool."""
    usd = _PER_THOUSAND_USD.get(wire, 0)
    if wire == "gemini" and _GEMINI_BY_QUERY.search(native_model):
        usd = _PER_THOUSAND_QUERIES_USD
    return usd * NANOS_PER_USD // 1000
