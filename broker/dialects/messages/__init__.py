"""Anthropic's Messages API as callers speak it.

`schemas` and `content` check a caller's body, `request` translates it to a chat body, `answer`
renders a chat completion as a message, and `stream` the events of a job as those of a message.
`reasoning` translates thinking blocks in both directions.

Source: platform.claude.com/docs/en/api/messages.
"""

WIRE = "anthropic"
"""The wire whose native content the dialect's callers send and receive."""
