"""People at pages: they are made, sign in, and send forms as a browser does."""

import re

from broker.accounts import DEFAULT_WORKSPACE, Role, users
from broker.accounts.audit import CLI
from broker.administration import users as people
from broker.administration.users import NewUser

PASSWORD = "correct horse battery staple"


def make_user(api, email="ada@example.com", role=Role.MEMBER, **more):
    with api.database.transaction() as connection:
        wanted = NewUser(email, "Ada", workspace_id=DEFAULT_WORKSPACE, role=role, **more)
        hashed = users.hash_password(PASSWORD)
        return people.create(connection, CLI, wanted, password_hash=hashed)


def token_of(page):
    return re.search(r'name="form_token" value="([^"]+)"', page.text)[1].replace("&amp;", "&")


async def send(browser, path, show=None, **fields):
    """Load a form's page and send it."""
    page = await browser.get(show or path)
    return await browser.post(path, data={"form_token": token_of(page), **fields})


async def sign_in(browser, email="ada@example.com", password=PASSWORD, **more):
    return await send(browser, "/sign-in", email=email, password=password, **more)
