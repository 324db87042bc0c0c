"""The hands: the Celery app and every outgoing HTTP call.

Read in this order: `app` (the Celery application), `tasks` (what a message does), `runtime` (the
asyncio loop and its clients), `execution` (one attempt as a list of verbs), `upstream` (the HTTP
call itself), `assembly` (chunks into one answer), `dispatcher` and `maintenance` (what nobody
claimed, who fell silent), `adapters/` (one wire each), `simulator/` (a provider for demos and tests).
"""
