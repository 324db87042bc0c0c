"""Pages for browsers: sign-in, invitations, an app's request for a key. Plain HTML, no script."""

from fastapi import APIRouter

from api.pages import account, consent, front, oidc, sign_in, welcome

router = APIRouter(include_in_schema=False)
for module in (front, sign_in, welcome, account, consent, oidc):
    router.include_router(module.router)
