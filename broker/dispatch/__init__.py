"""Publication of due jobs to the queues, in fair turns between workspaces.

`due` (jobs that wait to be published), `fair_queue` (whose job is next), `queue_depth` (how many
are published ahead), `dispatch` (all of it, in one transaction), `publisher` (Celery's
sending side).
"""
