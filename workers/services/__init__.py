"""Background loops of a worker or dispatcher process, and webhook deliveries.

`dispatcher`, `batches` and `retention` run in any number of processes; `leader_election` decides
which one acts. `webhook_delivery` claims and records deliveries, `webhook_request` sends one.
"""
