"""Who the person is: OpenID Connect's code flow with PKCE (RFC 7636). People's browsers know the issuer by its public address;
what is between servers goes to the issuer inside the cluster."""

import time

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
import httpx

import bindings
from steps import SIGN_IN, StepFailed

# The claim that holds the national number: what people sign in with.
PERSON = "preferred_username"
# A token is renewed so many seconds before it ends.
MARGIN = 20


def _provider():
    oauth = OAuth()
    issuer = bindings.value("identity", "issuer")
    return oauth.register(
        name="identity",
        client_id=bindings.value("identity", "client-id"),
        client_secret=bindings.value("identity", "client-secret"),
        authorize_url=f"{issuer}/protocol/openid-connect/auth",
        access_token_url=bindings.value("identity", "token-url"),
        jwks_uri=bindings.value("identity", "jwks-url"),
        # What the token must name as its issuer.
        issuer=issuer,
        client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
    )


provider = _provider()


async def begin(request, back: str):
    """Sends the person to the provider."""
    return await provider.authorize_redirect(request, back)


class SignedIn:
    """A person who is signed in."""

    def __init__(self, person: str, token: dict):
        self.person = person
        self._take(token)

    def _take(self, token: dict) -> None:
        self._access = token["access_token"]
        self._refresh = token["refresh_token"]
        self._ends = time.monotonic() + token["expires_in"] - MARGIN

    async def token(self) -> str:
        """The token that speaks for her now. It lives for minutes; the provider gives another one as long as she is signed in there."""
        if time.monotonic() >= self._ends:
            try:
                self._take(await provider.fetch_access_token(grant_type="refresh_token", refresh_token=self._refresh))
            except (OAuthError, httpx.HTTPError) as error:
                raise StepFailed(SIGN_IN, f"she is not signed in any more: {error}") from error
        return self._access


async def end(request) -> SignedIn:
    """The person, by her national number, once she is back."""
    try:
        token = await provider.authorize_access_token(request)
    except (OAuthError, httpx.HTTPError) as error:
        raise StepFailed(SIGN_IN, f"the identity provider did not let her in: {error}") from error
    return SignedIn(token["userinfo"][PERSON], token)
