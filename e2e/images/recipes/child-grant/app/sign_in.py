"""Who the person is: OpenID Connect's code flow with PKCE (RFC 7636). People's browsers know the issuer by its public address;
what is between servers goes to the issuer inside the cluster."""

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
import httpx

import bindings
from steps import SIGN_IN, StepFailed

# The claim that holds the national number: what people sign in with.
PERSON = "preferred_username"


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


async def end(request) -> tuple[str, str]:
    """The person's national number and the token that speaks for her, once she is back."""
    try:
        token = await provider.authorize_access_token(request)
    except (OAuthError, httpx.HTTPError) as error:
        raise StepFailed(SIGN_IN, f"the identity provider did not let her in: {error}") from error
    return token["userinfo"][PERSON], token["access_token"]
