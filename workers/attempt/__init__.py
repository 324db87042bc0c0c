"""The steps of one attempt of a job.

`execution` lists them: its JobRunner claims a job, has it called, and has its end recorded.

Before the call, `pacing` and `open_circuits` decide whether the endpoint can be called now.
`provider_calls` makes the call, with the key of `credentials` and the body of `attachments`.

After the call, `json_repair` repairs JSON, `usage_counts` and `cost` compute usage and cost,
`response_bodies` builds the body for the caller, and `recording` writes and publishes the end.
`endpoint_stats` records the outcome for the endpoint.

`job_run` is the attempt in this process, `running_attempts` lists all of them and can stop them,
`events` are the numbered events of the job, and `retry_until_stored` repeats writes while the
database is away.
"""
