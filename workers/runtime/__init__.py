"""The worker process.

`app` is the Celery application with its tasks, and `consumer` the parts that differ from Celery's
consumer. `job_loop` is the asyncio loop that runs the bundles of the tasks. `dispatcher_main` is
the dispatcher as a process of its own. `composition` builds the parts of both.
"""
