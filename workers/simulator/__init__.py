"""A provider for demos, tests and load: it speaks the providers' wires; the model name says how.

Read in this order: `behaviour` (what a model name asks for), `requests` (a call and its answer,
whatever the wire), `wire` (what a wire has to offer), `replies` and `specimens` (the text, the
tool arguments), `attachments`, `pictures` and `sounds` (what is not text), `faults` (calls refused
on purpose), `generation` (one call as a list of verbs), `breakages` (answers broken on purpose),
`openai_wire`, `anthropic/` and `gemini/` (chat), `operations/` (embeddings, images and so on),
`routes` (which path is whose), `exchange` and `connection` (the socket), `counters` (what was
called), `app`.

Another wire is another `wire.Wire` and a line in `routes`.
"""
