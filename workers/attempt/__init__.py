"""The steps of one attempt of a job.

`execution` lists them. `job_run` is the job in this process, `pacing`, `open_circuits` and
`credentials` decide whether its endpoint can be called now and with which key. After the call,
`json_repair` repairs JSON, `usage_counts` and `cost` compute what it used and costs,
`response_bodies` builds what the caller sees, and `recording` commits and publishes the end.
`events` are the job's numbered events, `endpoint_stats` what an attempt shows of its endpoint, and
`retry_until_stored` repeats writes while the database is away.
"""
