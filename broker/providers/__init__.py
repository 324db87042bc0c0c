"""Providers: which are configured, how they behave, and how much they may be sent.

`vendors` (known vendors as data), `configuration` (the providers of this installation), `endpoints`
(a model at a provider), `endpoint_stats` (recent behaviour as values), `pacing` (slots and rates),
`health` (statistics and circuit breakers), `pauses` (by operators).
"""
