"""The hands: the Celery app and every outgoing HTTP call.

Read in this order: `app` (the Celery application), `tasks` (what a message does), `runtime` (the
asyncio loop), `toolbox` (what an attempt has at hand), `lanes` (interactive first), `execution`
(one attempt as a list of verbs), `pacing` and `detours` (what keeps a job from its endpoint),
`asking` (what of a body its endpoint sees), `media/` (attachments made to fit), `upstream` (the
HTTP call), `answer_reading` (its body, to the end of its protocol), `transport_errors` (why a
connection failed), `stated_usage` (what an unreadable answer costs), `assembly` (chunks into one
answer), `observation` (what a call showed of its endpoint),
`healing` (JSON made whole), `answers` and `receipts` (bodies, usage, cost), `recording` (the end of
an attempt), `insisting` (on its being written), `story` (the events it tells), `dispatcher` (what
nobody claimed, who fell silent), `standalone` (the dispatcher as a process), `native_batches/`
(batches at providers), `delivery`, `stamping`, `post` (webhooks: claim, sign, send), `adapters/`
(one chat wire each), `operations/` (all but chat), `egress/` (guarded requests), `simulator/` (a
provider for demos, tests and load).
"""
