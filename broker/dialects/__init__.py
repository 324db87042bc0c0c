"""The dialects of callers: pure translations between their bodies and the internal form.

The internal form of a request is a chat body (`broker.requests.bodies.chat`), and that of an answer
a chat completion (`broker.completion`). `base` has the types that the dialects share;
`accumulation` collects the chunks of a stream to an answer.
"""
