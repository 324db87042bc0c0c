"""Events of jobs: published while a job runs, stored with it afterwards.

`job_events` (the numbered event log in Redis), `stored_logs` (logs of ended jobs in the database),
`signals` (live workers and cancelled jobs, through Redis).
"""
