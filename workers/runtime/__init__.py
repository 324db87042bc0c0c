"""The worker process.

`app` is the Celery application: control commands, and the names of the tasks. `job_loop` is the
asyncio loop that does the work, and `receiving` takes the messages for it. `task_log` passes what
happens to messages to `consumer`, which reports it to Celery's monitors. `dispatcher_main` is the
dispatcher as a process of its own. `composition` builds the parts of both processes.
"""
