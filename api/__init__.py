"""The face: HTTP only. It validates, calls the core, waits where asked, and shapes answers.

Read in this order: `app` (composition), `services` (what routes have at hand), `routes/`, `intake`
(request → accepted job), `waiting` (news of jobs), `answering` (a job's end → HTTP answer),
`streaming` (events → SSE), `auth`, `errors`, `schemas/` (bodies), `views` (objects shown),
`documents` (OpenAPI).
"""
