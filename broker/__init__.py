"""The core: no web framework, no HTTP client; Celery only in `publisher`.

Reading order, each layer standing on the ones before it:

words       `errors`, `completion` (request, answer, usage, failure), `clock`, `ids`, `money`,
            `settings`, `logs`, `egress/` (which URLs may be requested), `secret_values` (reads
            keys), `redaction` (keeps them out of every text)
rules       pure: `states`, `queues`, `pricing`, `evidence`, `routing/`, `quotes`, `retries`,
            `native_lane`, `bodies/` (of requests), `refusals`
storage     `tables/`, `database` (the one door), `publisher`, `migrations/`
services    `accounts`, `ledger/`, `usage/`, `payments`, `budgets/`, `providers`, `catalog/`,
            `events` (a job's log), `signals`, `health/` (how endpoints behave),
            `coalescing` (shared calls), `due` (what waits to be published), `sealing` (secrets at
            rest), `webhooks/` (the only writer of deliveries)
use cases   `spending` (may this be held?), `submission`, `admission`, `lifecycle/` (the only
            writer of job states), `dispatch`, `native_batches/` (batches at providers),
            `comparisons` (jobs as a table), `reports`
"""
