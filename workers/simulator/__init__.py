"""A simulated provider for demos, tests and load tests, with the providers' wires.

It is an optional part (the extra `simulator`). It needs orjson and uvicorn. It imports nothing of
Waybill, so that it does not share the mistakes that it has to find.

Read in this order: `behaviour` (options in a model name), `wire` (a call, its answer, the interface
of a provider API), `replies`, `judgements`, `specimens` and `media` (text, verdicts, tool
arguments, images and sounds), `faults` (calls refused and answers broken on purpose), `model_calls`
(one call step by step, and the wire of each path), `openai_shapes` and `openai_wire`,
`anthropic_request` and `anthropic_wire`, `gemini_request` and `gemini_wire`, `responses_request`,
`responses_wire` and `responses_store` (chat), `text_operations` and `media_operations` (the rest),
`batches/` (batch APIs), `http` (requests, answers and broken connections), `counters` (calls that
were made), `app`, `background` (for tests).

A new wire is a class derived from `wire.Wire` and a line in `model_calls`.
"""
