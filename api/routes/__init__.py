"""One module a resource; `ROUTERS` are those that callers' base URLs lead to."""

from api.accounts import byok_routes
from api.batches import routes
from api.billing import routes as budgets
from api.comparisons import routes as compare
from api.completions import routes as operations
from api.files import routes as files
from api.jobs import routes as jobs
from api.models import routes as models
from api.presets import routes as presets
from api.routes import chat, credit, generations, route, webhooks
from api.usage import routes as usage

ROUTERS = (
    chat.router,
    operations.router,
    jobs.router,
    route.router,
    routes.router,
    compare.router,
    presets.router,
    webhooks.router,
    files.router,
    models.router,
    generations.router,
    credit.router,
    usage.router,
    budgets.router,
    byok_routes.router,
)
