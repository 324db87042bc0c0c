"""Jobs as their owners see them.

`states` (and the transitions between them), `privacy` (what is kept of a job), `reports` (read-only
questions), `views` (a job as JSON), `error_envelope` (a failure as JSON), `export`.
"""
