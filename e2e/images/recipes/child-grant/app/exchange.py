"""Calls through the information mediator: as the service's own system, with its own certificate, TLS 1.3 and nothing less."""

import os
import ssl

import httpx

import bindings
from steps import StepFailed

# Longest wait for an answer, in seconds.
LIMIT = 15

# The registers' services, as the exchange names them.
PERSONS = os.environ["PERSONS"]
ACCOUNTS = os.environ["ACCOUNTS"]
CONSENTS = os.environ["CONSENTS"]
APPLICATIONS = os.environ["APPLICATIONS"]


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=bindings.path("exchange", "authority"))
    context.load_cert_chain(bindings.path("exchange", "certificates"), bindings.path("exchange", "private-key"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def _call(step: str, method: str, service: str, key: str, body=None, headers=None) -> httpx.Response:
    address = f"{bindings.value('exchange', 'uri')}/{service}/{key}"
    headers = {"X-Road-Client": bindings.value("exchange", "client"), **(headers or {})}
    try:
        # Certificates are renewed while the service runs: each call takes those that are there.
        async with httpx.AsyncClient(verify=_tls(), timeout=LIMIT) as client:
            return await client.request(method, address, headers=headers, json=body)
    except httpx.HTTPError as error:
        raise StepFailed(step, f"the exchange was not reached for {service} ({type(error).__name__})") from error


def _refused(step: str, service: str, answer: httpx.Response) -> StepFailed:
    return StepFailed(step, f"{service} answered {answer.status_code}: {answer.text[:300]}")


async def read(step: str, service: str, key: str):
    """A record, or nothing where there is none."""
    answer = await _call(step, "GET", service, key)
    if answer.status_code == 404:
        return None
    if answer.status_code != 200:
        raise _refused(step, service, answer)
    return answer.json()["data"]


async def write(step: str, service: str, key: str, record) -> None:
    """Writes a record, over the one that may be there."""
    answer = await _call(step, "PUT", service, key, {"data": record})
    if answer.status_code not in (200, 201):
        raise _refused(step, service, answer)


async def write_once(step: str, service: str, key: str, record) -> None:
    """Writes a record that nobody writes over: the one that is there stays."""
    answer = await _call(step, "PUT", service, key, {"data": record}, {"If-None-Match": "*"})
    if answer.status_code not in (201, 412):
        raise _refused(step, service, answer)
