"""Routes of webhooks: endpoints, secrets and deliveries."""

from fastapi import APIRouter

from api.webhooks import delivery_routes, endpoint_routes

router = APIRouter(prefix="/webhooks")
router.include_router(endpoint_routes.router)
router.include_router(endpoint_routes.secret_router)
router.include_router(delivery_routes.router)
