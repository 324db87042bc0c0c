"""Jobs as their owners see them.

`states` (and the transitions between them), `privacy` (what is kept of a job), `rows` (typed rows),
`reports` (read-only queries), `views` (a job as JSON), `error_envelope` (a failure as JSON),
`export`.
"""
