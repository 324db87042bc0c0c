"""The Messages API of Anthropic.

Read in this order: `wire`, `reading` and `blocks` (a call understood), `rules` (what is refused),
`prompt_cache`, `message` (the answer), `stream` (its events), `errors`.
"""
