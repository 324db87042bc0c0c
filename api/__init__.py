"""The HTTP API: it validates requests, calls the core, waits where asked, and renders answers.

- `app`: the ASGI application; `routers`: the routers of all features; `openapi`: the document.
- `core/`: what all features share. `services` (what routes use), `auth`, `request` (bodies,
  headers, query parameters), `errors`, `middleware`, `rate_limits`, `media` (stored bytes).
- `jobs/`: `submit` (request → accepted job), `call_timeout` and `core/job_subscriptions` (wait),
  `responses` (a job's end → HTTP answer), `streaming` (events → SSE), `actions`, and /jobs.
- `completions/`: one call from its body to its answer, and the routes of all operations.
- `batches/`, `comparisons/`, `files/`, `presets/`, `webhooks/`, `models/`, `accounts/`, `billing/`,
  `usage/`, `monitoring/`: a feature each. `routes` are its endpoints, `schemas` its request
  bodies, `views` its objects as callers see them.
- `pages/`: the few pages a browser needs.
"""
