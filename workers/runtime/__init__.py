"""The worker process.

`app` is the Celery application and its tasks, `consumer` what differs from Celery's consumer,
`job_loop` the asyncio loop that the tasks hand bundles of jobs to, and `dispatcher_main` the
dispatcher as a process of its own.
"""
