"""Keys, workspaces, members, users, apps, provider keys and the audit log."""

from fastapi import APIRouter

from api.accounts import audit_routes, byok_routes, key_routes, user_routes, workspace_routes

router = APIRouter()
router.include_router(byok_routes.router)
router.include_router(key_routes.router)
router.include_router(workspace_routes.router)
router.include_router(user_routes.router)
router.include_router(key_routes.app_code_router)
router.include_router(audit_routes.router)
