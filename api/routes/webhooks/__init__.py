"""/webhooks: where a workspace's events go, what signs them, and what became of each delivery."""

from fastapi import APIRouter

from api.routes.webhooks.secret import router as secret
from api.webhooks.delivery_routes import router as deliveries
from api.webhooks.routes import router as endpoints

router = APIRouter(prefix="/webhooks")
for part in (endpoints, secret, deliveries):
    router.include_router(part)
