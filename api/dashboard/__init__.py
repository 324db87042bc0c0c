"""The dashboard: pages for signed-in people, below /w/{workspace}.

The pages are clients of the API: `core/api_client.py` calls its routes in this process with the
visitor's session, so that roles, limits and errors are the API's own. A module has the pages of one
subject; `templates/` has their HTML, `core/` what they share, `api/assets` the style and scripts.
"""

from fastapi import APIRouter

from api.dashboard import (
    audit,
    batches,
    budgets,
    components,
    evaluations,
    jobs,
    keys,
    ledger,
    members,
    models,
    overview,
    playground,
    presets,
    provider_keys,
    providers,
    settings,
    users,
    webhooks,
)

router = APIRouter(include_in_schema=False)
for module in (
    *(components, overview, playground, models),
    *(jobs, batches, evaluations, webhooks),
    *(keys, members, provider_keys, presets),
    *(ledger, budgets, providers, users, audit, settings),
):
    router.include_router(module.router)
