"""Tests of who a request is from, by each of the ways, and the first that applies."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from pytest_django import Settings

from chat_app.identity import (
    BadCredentials,
    Identity,
    NotAllowed,
    find_identity,
    jwt_tokens,
    sign_in,
    still_valid,
)
from chat_app.identity.api_keys import key_identity
from chat_app.models import ApiKey
from chat_app.wire.client_messages import BasicLogin
from sessions_app.models.people import Person
from sessions_app.storage import reads
from tests.support.hitl import set_hitl
from tests.wire.identity.tokens import AUDIENCE, SECRET, token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_writer")]

TOKEN = "6f1c2a52-9d4e-4a57-9d6f-0a2a3b1f0c11"


async def identify(
    user: Any = None,
    cookies: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    **headers: str,
) -> Person | None:
    request_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    identity = await find_identity(
        user=user, headers=request_headers, cookies=cookies or {}, query=query or {}
    )
    return identity.person if identity else None


async def test_a_request_without_credentials_is_nobody() -> None:
    assert await identify() is None
    assert await identify(AnonymousUser(), authorization="Basic eDp5") is None


async def test_the_session_comes_first(ann: User) -> None:
    person = await identify(ann, authorization="Bearer nonsense", x_api_key="nonsense")
    assert person == Person.of(ann)


async def test_a_key_in_either_header(ann: User, key: str) -> None:
    assert await identify(x_api_key=key) == Person.of(ann)
    assert await identify(authorization=f"bearer {key}") == Person.of(ann)
    row = await ApiKey.objects.aget()
    assert row.last_used_at is not None
    assert key.split("_", 2)[2] not in row.digest + row.salt


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key.rpartition("_")[0] + "_",
        lambda key: "nak_",
        lambda key: "nak_\0_\ud800",
        lambda key: key.replace("_", "", 1),
        lambda key: "",
    ],
)
async def test_a_wrong_api_key_is_refused_with_the_reason(key: str, spoil: Any) -> None:
    with pytest.raises(BadCredentials, match="API key is not valid"):
        await identify(x_api_key=spoil(key))


async def test_a_key_ends_when_it_is_revoked_or_its_user_deactivated(ann: User, key: str) -> None:
    identity = await key_identity(key)
    assert await reads.read(still_valid, [identity]) == {identity}
    await ApiKey.objects.aupdate(revoked_at="2026-01-01T00:00Z")
    assert await reads.read(still_valid, [identity]) == set()
    with pytest.raises(BadCredentials):
        await key_identity(key)
    await ApiKey.objects.aupdate(revoked_at=None)
    await User.objects.aupdate(is_active=False)
    assert await reads.read(still_valid, [identity]) == set()
    with pytest.raises(BadCredentials):
        await key_identity(key)


async def test_a_token_of_the_issuer(ann: User, tokens: Settings) -> None:
    assert await identify(authorization=f"Bearer {token()}") == Person.of(ann)
    set_hitl(tokens, JWT_USERNAME_CLAIM="name")
    assert await identify(authorization=f"Bearer {token(sub='x', name='ann')}") == Person.of(ann)


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "not valid"),
        ({"exp": 10**30}, "not valid"),
        ({"aud": None}, "not valid"),
        ({"aud": "https://other.example"}, "audience"),
        ({"nbf": 2**40}, "not valid"),
        ({"iss": "https://evil.example"}, "not valid"),
        ({"sub": None}, "sub"),
        ({"sub": "a\0b"}, "sub"),
        ({"sub": "x" * 151}, "sub"),
    ],
)
async def test_a_token_that_is_not_for_us_is_refused(
    ann: User, tokens: Settings, claims: dict[str, Any], says: str
) -> None:
    set_hitl(tokens, JWT_ISSUER="https://issuer.example")
    claims = {"iss": "https://issuer.example", **claims}
    with pytest.raises(BadCredentials, match=says):
        await identify(authorization=f"Bearer {token(**claims)}")


async def test_a_forged_token_is_refused(ann: User, tokens: Settings) -> None:
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": int(time.time()) + 60}
    unsigned = jwt.encode(claims, "", algorithm="none")
    other = jwt.encode(claims, SECRET + "x")
    stronger = jwt.encode(claims, SECRET * 2, algorithm="HS512")
    for forged in (unsigned, other, stronger, token()[:-2], "", "a.b.c", "\ud800"):
        with pytest.raises(BadCredentials, match="not valid"):
            await identify(authorization=f"Bearer {forged}")


async def test_tokens_are_refused_where_none_are_configured(ann: User) -> None:
    with pytest.raises(BadCredentials, match="not accepted"):
        await identify(authorization=f"Bearer {token()}")


async def test_a_token_of_nobody_here_makes_a_user_only_where_it_may(tokens: Settings) -> None:
    bearer = f"Bearer {token(sub='new')}"
    with pytest.raises(NotAllowed):
        await identify(authorization=bearer)
    assert not await User.objects.filter(username="new").aexists()
    set_hitl(tokens, JWT_CREATE_USERS=True)
    first, second = await asyncio.gather(
        identify(authorization=bearer), identify(authorization=bearer)
    )
    assert first == second == Person.of(await User.objects.aget(username="new"))
    assert not (await User.objects.aget(username="new")).has_usable_password()
    await User.objects.aupdate(is_active=False)
    with pytest.raises(NotAllowed):
        await identify(authorization=bearer)


@pytest.fixture
def jwks(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[rsa.RSAPrivateKey]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    of_curve = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(curve))
    keys = {
        "keys": [
            {**public, "kid": "k1", "use": "sig", "alg": "RS256"},
            {**of_curve, "kid": "curve", "use": "sig", "alg": "ES256"},
        ]
    }
    monkeypatch.setattr(jwt_tokens.KeyServer, "fetch_data", lambda self: keys)
    set_hitl(settings, JWT_JWKS_URL="https://issuer.example/keys")
    set_hitl(settings, JWT_ALGORITHMS=["RS256"], JWT_AUDIENCE=[AUDIENCE])
    jwt_tokens._jwks.cache_clear()
    yield private
    jwt_tokens._jwks.cache_clear()


def _with_a_key_of_its_own(claims: dict[str, Any]) -> str:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))
    headers = {"kid": "k1", "jwk": public, "jku": "https://evil.example/keys", "x5u": "https://e"}
    return jwt.encode(claims, own, algorithm="RS256", headers=headers)


async def test_a_token_by_a_key_set(ann: User, jwks: rsa.RSAPrivateKey) -> None:
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": int(time.time()) + 60}
    good = jwt.encode(claims, jwks, algorithm="RS256", headers={"kid": "k1"})
    assert await identify(authorization=f"Bearer {good}") == Person.of(ann)
    for forged in (
        jwt.encode(claims, jwks, algorithm="RS256", headers={"kid": "k2"}),
        jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "k1"}),
        jwt.encode(claims, jwks, algorithm="RS512", headers={"kid": "k1"}),
        jwt.encode(claims, jwks, algorithm="RS256", headers={"kid": "curve"}),
        _with_a_key_of_its_own(claims),
    ):
        with pytest.raises(BadCredentials, match="not valid"):
            await identify(authorization=f"Bearer {forged}")


async def test_a_key_that_the_issuer_takes_back_is_taken_no_more(
    ann: User, jwks: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": int(time.time()) + 60}
    bearer = f"Bearer {jwt.encode(claims, jwks, algorithm='RS256', headers={'kid': 'k1'})}"
    assert await identify(authorization=bearer) == Person.of(ann)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(jwks.public_key()))
    keys = {"keys": [{**public, "kid": "k2", "use": "sig", "alg": "RS256"}]}
    monkeypatch.setattr(jwt_tokens.KeyServer, "fetch_data", lambda self: keys)
    cached_set = jwt_tokens._jwks("https://issuer.example/keys").jwk_set_cache
    assert cached_set is not None
    cached_set.lifespan = 0  # some minutes later
    with pytest.raises(BadCredentials, match="not valid"):
        await identify(authorization=bearer)


async def test_an_unreachable_key_server_is_reported(
    ann: User, jwks: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Any) -> None:
        raise jwt.PyJWKClientConnectionError("refused by 10.0.0.1")

    monkeypatch.setattr(jwt_tokens.KeyServer, "fetch_data", away)
    with pytest.raises(BadCredentials) as error_info:
        await identify(authorization=f"Bearer {token()}")
    assert "moment" in str(error_info.value)
    assert "10.0.0.1" not in str(error_info.value)


# Of parts of a body: the bytes of each, the seconds between them, and how many there are.
WAYS = {"elsewhere": (0, 0.0, 0), "endless": (2**16, 0.0, 2**12), "slow": (1, 0.05, 600)}
# Bytes at most before the client leaves; of many, most are in the buffers of the connection.
MOST_SENT = {"elsewhere": 0, "endless": 2**25, "slow": 500}


class KeyServer(BaseHTTPRequestHandler):
    """The answers of a key server that sends no key set, each in its own way."""

    requested_paths: list[str] = []
    sent = 0

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        KeyServer.requested_paths.append(self.path)
        way = self.path.strip("/")
        self.send_response(302 if way == "elsewhere" else 200)
        if way == "elsewhere":
            self.send_header("location", "/latest/meta-data/")
        self.end_headers()
        part, pause, most = WAYS.get(way, (0, 0.0, 0))
        with suppress(ConnectionError):
            for _ in range(most):
                KeyServer.sent += self.wfile.write(b" " * part)
                time.sleep(pause)


@pytest.mark.parametrize("way", WAYS)
async def test_a_key_set_is_read_from_its_address_alone_and_not_for_long(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(jwt_tokens, "JWKS_TIMEOUT", 0.5 if way == "slow" else 30)
    KeyServer.requested_paths, KeyServer.sent = [], 0
    jwt_tokens._jwks.cache_clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), KeyServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        set_hitl(settings, JWT_JWKS_URL=f"http://127.0.0.1:{server.server_port}/{way}")
        set_hitl(settings, JWT_ALGORITHMS=["RS256"], JWT_AUDIENCE=[AUDIENCE])
        with pytest.raises(BadCredentials, match="moment"):
            await identify(authorization=f"Bearer {token()}")
        server.shutdown()
    assert KeyServer.requested_paths == [f"/{way}"]
    assert KeyServer.sent <= MOST_SENT[way]


async def test_guests_only_where_they_are_allowed(settings: Settings) -> None:
    assert await identify(query={"session": TOKEN}) is None
    set_hitl(settings, GUESTS=True)
    guest = await identify(query={"session": TOKEN})
    assert guest is not None
    assert guest.username.startswith("guest-")
    assert TOKEN not in guest.username
    assert await identify(cookies={"nat-session": TOKEN}) == guest
    assert await identify(query={"session": TOKEN + "x"}) != guest
    assert not (await User.objects.aget(pk=guest.id)).has_usable_password()


@pytest.mark.parametrize("short", ["a", "x" * 7, "x" * 5000])
async def test_a_token_that_can_be_guessed_is_no_guest(settings: Settings, short: str) -> None:
    set_hitl(settings, GUESTS=True)
    with pytest.raises(BadCredentials, match="8"):
        await identify(query={"session": short})


async def test_a_password_ends_with_its_change(ann: User) -> None:
    login = {"method": "basic", "username": "ann", "password": "right"}
    identity = await sign_in(BasicLogin.model_validate(login), HttpRequest())
    assert identity.person == Person.of(ann)
    for wrong in ({"password": "wrong"}, {"username": "nobody"}, {"username": ""}):
        with pytest.raises(BadCredentials, match="user name or the password"):
            await sign_in(BasicLogin.model_validate({**login, **wrong}), HttpRequest())
    ann.set_password("other")
    await ann.asave()
    assert await reads.read(still_valid, [identity]) == set()


def test_many_identities_are_looked_at_in_a_few_queries(
    ann: User, django_assert_num_queries: Any
) -> None:
    person = Person.of(ann)
    identities = [Identity(person, session=f"s{n}", api_key=n + 1) for n in range(400)]
    with django_assert_num_queries(3):
        assert still_valid([*identities, Identity(person)]) == {Identity(person)}
