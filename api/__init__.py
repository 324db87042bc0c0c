"""The face: HTTP only. It validates, calls the core, waits where asked, and shapes answers.

Read in this order: `connections` and `middleware` (what holds for every exchange), `app`
(composition), `services` (what routes have at hand), `routes/`, `unrouted`, `reading`
(what a request says) with `forms` (which some send) and `receivers` (of webhooks), `intake`
(request → accepted job), `waiting`
(news of jobs), `answering` (a job's end → HTTP answer), `media` and `downloads` (stored bytes),
`streaming` (events → SSE), `calls` (all of it for one call), `auth`, `errors`, `schemas/` (bodies),
`views` and `webhook_views` (objects shown), `documents` (OpenAPI).
"""
