"""Keys, workspaces, members, users, apps and the audit log."""

from fastapi import APIRouter

from api.accounts import app_routes, audit_routes, key_routes, user_routes, workspace_routes

router = APIRouter()
for module in (key_routes, workspace_routes, user_routes, app_routes, audit_routes):
    router.include_router(module.router)
