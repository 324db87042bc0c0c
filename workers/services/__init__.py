"""Services of a worker or dispatcher process, and webhook deliveries.

`dispatcher`, `batches`, `evaluations` and `retention` run in any number of processes.
`leader_election` decides which process is the leader. `open_steps` advances open batches and
evaluations. `webhook_delivery` claims and records deliveries, and `webhook_request` sends one.
"""
