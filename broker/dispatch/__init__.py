"""Publication of due jobs to the queues, in fair turns between workspaces."""
