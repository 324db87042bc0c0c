"""Keys, workspaces, members, users, apps and the audit log."""

from fastapi import APIRouter

from api.routes.accounts import apps, audit, keys, users, workspaces

router = APIRouter()
for module in (keys, workspaces, users, apps, audit):
    router.include_router(module.router)
