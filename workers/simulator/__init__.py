"""A provider for demos, tests and load: it speaks the providers' wires; the model name says how.

Read in this order: `behaviour` (what a model name asks for), `requests` (a call, whatever its
wire), `replies` and `specimens` (the text, the tool arguments), `faults` (calls refused on
purpose), `generation` (one call as a list of verbs), `breakages` (answers broken on purpose),
`openai_wire` (one wire), `exchange` and `connection` (the socket), `counters` (what was called),
`app`.

Another wire is another `requests.Wire` and a line in `app.WIRES`.
"""
