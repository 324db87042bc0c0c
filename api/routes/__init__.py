"""One module a resource; `ROUTERS` are those that callers' base URLs lead to."""

from api.routes import (
    batches,
    budgets,
    byok,
    chat,
    compare,
    credit,
    files,
    generations,
    jobs,
    models,
    operations,
    presets,
    route,
    usage,
    webhooks,
)

ROUTERS = (
    chat.router,
    operations.router,
    jobs.router,
    route.router,
    batches.router,
    compare.router,
    presets.router,
    webhooks.router,
    files.router,
    models.router,
    generations.router,
    credit.router,
    usage.router,
    budgets.router,
    byok.router,
)
