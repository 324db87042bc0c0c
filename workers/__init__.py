"""The hands: the Celery app and every outgoing HTTP call.

Read in this order: `app` (the Celery application), `tasks` (what a message does), `runtime` (the
asyncio loop), `toolbox` (what an attempt has at hand), `execution` (one attempt as a list of
verbs), `upstream` (the HTTP call), `assembly` (chunks into one answer), `answers` (bodies callers
see), `story` (the events an attempt tells), `dispatcher` (what nobody claimed, who fell silent),
`standalone` (the dispatcher as a process), `adapters/` (one wire each), `simulator/` (a provider
for demos, tests and load).
"""
