"""The face: HTTP only. It validates, calls the core, waits where asked, and shapes answers.

Read in this order: `connections` and `middleware` (what holds for every exchange), `app`
(composition), `services` (what routes have at hand), `routes/`, `unrouted`, `intake`
(request → accepted job) with `forms` (which some send) and `receivers` (of webhooks), `waiting`
(news of jobs), `answering` (a job's end → HTTP answer), `media` and `downloads` (stored bytes),
`streaming` (events → SSE), `auth`, `errors`, `schemas/` (bodies), `views` and `webhook_views`
(objects shown), `documents` (OpenAPI).
"""
