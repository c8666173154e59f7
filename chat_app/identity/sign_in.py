"""Signing in by what an `auth_message` says."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth import authenticate
from django.db import connection

from chat_app.identity.api_keys import key_identity
from chat_app.identity.errors import BadCredentials
from chat_app.identity.identities import Identity
from chat_app.identity.jwt_tokens import jwt_identity
from chat_app.protocol.client_messages import ApiKeyLogin, BasicLogin, JwtLogin, Login

# Hashing a password is slow on purpose. One thread: guesses wait for each other, and leave the
# rest of the machine to everybody else.
_hashing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="password")


async def sign_in(login: Login) -> Identity:
    """The identity that the credentials give.

    Raises:
        BadCredentials: they are wrong, or of nobody who is let in.
    """
    match login:
        case JwtLogin():
            return await jwt_identity(login.token.get_secret_value())
        case ApiKeyLogin():
            return await key_identity(login.token.get_secret_value())
        case BasicLogin():
            return await _password_identity(login)


async def _password_identity(login: BasicLogin) -> Identity:
    loop = asyncio.get_running_loop()
    user = await loop.run_in_executor(_hashing, _authenticate, login)
    if user is None:
        raise BadCredentials("The user name or the password is wrong.")
    return Identity.of(user)


def _authenticate(login: BasicLogin) -> Any:
    try:
        return authenticate(username=login.username, password=login.password.get_secret_value())
    finally:
        connection.close()
