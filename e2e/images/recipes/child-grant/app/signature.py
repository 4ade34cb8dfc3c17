"""The person's signature, made by the e-signature block with her own key, which opens to her own sign-in alone; and validated there
before anybody relies on it."""

import base64
import json

import httpx

import bindings
from steps import SIGNATURE, StepFailed

# Longest wait for an answer, in seconds.
LIMIT = 30
PASSED = "TOTAL_PASSED"


def _bytes(application: dict) -> str:
    """What is signed: the same bytes for the same application."""
    text = json.dumps(application, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(text.encode()).decode()


async def _ask(address: str, body: dict, wanted: int, token: str | None = None) -> dict:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with httpx.AsyncClient(timeout=LIMIT) as client:
            answer = await client.post(bindings.value("e-signature", address), json=body, headers=headers)
    except httpx.HTTPError as error:
        raise StepFailed(SIGNATURE, f"the signature service was not reached ({type(error).__name__})") from error
    if answer.status_code != wanted:
        raise StepFailed(SIGNATURE, f"the signature service answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()


async def sign(application: dict, token: str) -> dict:
    """The person's signature of the application (JAdES, in JSON)."""
    answer = await _ask("signatures-url", {"document": _bytes(application)}, 201, token)
    return answer["signature"]


async def validate(signature: dict, application: dict) -> dict:
    """What validation says of a signature that holds."""
    verdict = await _ask("validations-url", {"signature": signature, "document": _bytes(application)}, 200)
    if verdict["indication"] != PASSED:
        raise StepFailed(SIGNATURE, f"the signature does not hold: {verdict['indication']} {verdict.get('subIndication', '')}")
    if verdict["signer"]["number"] != application["person"]:
        raise StepFailed(SIGNATURE, "the signature is another person's")
    return verdict
