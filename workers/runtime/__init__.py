"""The worker process: the Celery application, its consumer and the asyncio loop."""
