"""The routers that callers' base URLs lead to."""

from api.accounts import routes as accounts
from api.batches import routes as batches
from api.billing import ledger_routes
from api.billing import routes as billing
from api.comparisons import routes as comparisons
from api.completions import routes as completions
from api.evaluations import routes as evaluations
from api.files import routes as files
from api.jobs import queue_routes
from api.jobs import routes as jobs
from api.messages import batches as message_batches
from api.messages import routes as messages
from api.models import image_routes as image_models
from api.models import provider_routes
from api.models import routes as models
from api.presets import routes as presets
from api.responses import routes as responses
from api.usage import routes as usage
from api.webhooks import routes as webhooks

ROUTERS = (
    completions.chat_router,
    completions.operations_router,
    responses.calls_router,
    responses.router,
    messages.router,
    message_batches.router,
    messages.stored_router,
    jobs.router,
    queue_routes.router,
    completions.plan_router,
    batches.router,
    comparisons.router,
    evaluations.router,
    presets.router,
    webhooks.router,
    files.router,
    models.router,
    provider_routes.router,
    image_models.router,
    usage.generations_router,
    billing.credits_router,
    ledger_routes.router,
    usage.router,
    billing.budgets_router,
    accounts.router,
)
