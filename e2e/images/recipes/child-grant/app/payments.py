"""Payment by the programme's participant through the payments block, in the words of Mojaloop's FSPIOP API 1.1."""

import asyncio
import base64
import datetime
import email.utils
import hashlib
import json
import time

import httpx

import bindings
from steps import PAYMENT, StepFailed

# Longest wait for one answer, and for the ledger to commit, in seconds.
LIMIT = 15
COMMIT_LIMIT = 60
# Between two questions, in seconds.
PAUSE = 0.5



def currency() -> str:
    """What the programme pays in."""
    return _bound("currency")


def _bound(key: str) -> str:
    # A payer that no longer pays for the ministry takes the binding away, and nothing else.
    try:
        return bindings.value("payments", key)
    except FileNotFoundError as error:
        raise StepFailed(PAYMENT, "no participant pays for this service") from error


def _headers(payee: str) -> dict:
    kind = "application/vnd.interoperability.transfers+json;version=1.1"
    return {
        "Accept": kind,
        "Content-Type": kind,
        "Date": email.utils.formatdate(usegmt=True),
        "FSPIOP-Source": _bound("participant"),
        "FSPIOP-Destination": payee,
    }


def _transfer(number: str, payee: str, account: str, amount: str) -> dict:
    packet = base64.urlsafe_b64encode(json.dumps({"transferId": number, "account": account}).encode()).rstrip(b"=")
    fulfilment = hashlib.sha256(packet).digest()
    condition = base64.urlsafe_b64encode(hashlib.sha256(fulfilment).digest()).rstrip(b"=")
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=COMMIT_LIMIT)
    return {
        "transferId": number,
        "payerFsp": _bound("participant"),
        "payeeFsp": payee,
        "amount": {"amount": amount, "currency": currency()},
        "ilpPacket": packet.decode(),
        "condition": condition.decode(),
        "expiration": expires.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


async def pay(number: str, payee: str, account: str, amount: str) -> str:
    """Pays once for a number, and returns when the ledger has committed."""
    transfers = _bound("transfers-url") + "/transfers"
    try:
        async with httpx.AsyncClient(timeout=LIMIT) as client:
            answer = await client.post(transfers, json=_transfer(number, payee, account, amount), headers=_headers(payee))
            if answer.status_code != 202:
                raise StepFailed(PAYMENT, f"the hub answered {answer.status_code}: {answer.text[:300]}")
            return await _committed(client, f"{transfers}/{number}", payee)
    except httpx.HTTPError as error:
        raise StepFailed(PAYMENT, f"the hub was not reached ({type(error).__name__})") from error


async def _committed(client: httpx.AsyncClient, transfer: str, payee: str) -> str:
    until = time.monotonic() + COMMIT_LIMIT
    state = "unknown"
    while time.monotonic() < until:
        answer = await client.get(transfer, headers=_headers(payee))
        if answer.status_code == 200:
            state = answer.json()["transferState"]
            if state == "COMMITTED":
                return state
            if state == "ABORTED":
                raise StepFailed(PAYMENT, f"the ledger refused: {answer.text[:300]}")
        await asyncio.sleep(PAUSE)
    raise StepFailed(PAYMENT, f"not committed within {COMMIT_LIMIT} s: {state}")
