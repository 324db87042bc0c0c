"""Pages for browsers: sign-in, invitations, an app's request for a key. Plain HTML, no script."""

from fastapi import APIRouter

from api.pages import consent, home, oidc, sign_in, welcome

router = APIRouter(include_in_schema=False)
for module in (home, sign_in, welcome, consent, oidc):
    router.include_router(module.router)
