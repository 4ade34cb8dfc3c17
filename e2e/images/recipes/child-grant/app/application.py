"""The application for the grant: each step uses one of the country's building blocks, and stops where that refuses."""

import datetime
import json
import os

import exchange
import payments
import signature
from steps import ACCOUNT, APPLICATION, CONSENT, RECORD, StepFailed

AMOUNT = os.environ["AMOUNT"]
PURPOSE = "To decide on the child grant, the register of persons is read."


def _consent_of(person: str) -> str:
    return f"{person}-child-grant"


async def has_consented(person: str) -> bool:
    """Whether the person's consent is in force."""
    consent = await exchange.read(CONSENT, exchange.CONSENTS, _consent_of(person))
    return consent is not None and consent["state"] == "given"


async def consent(person: str, state: str) -> None:
    """The person gives her consent, or takes it back."""
    record = {"person": person, "purpose": PURPOSE, "state": state, "at": _now()}
    await exchange.write(CONSENT, exchange.CONSENTS, _consent_of(person), record)


async def record_of(person: str) -> dict:
    """What the register of persons knows: read with her consent alone."""
    if not await has_consented(person):
        raise StepFailed(CONSENT, "there is no consent in force")
    record = await exchange.read(RECORD, exchange.PERSONS, person)
    if record is None:
        raise StepFailed(RECORD, f"the register of persons has no record {person}")
    return record


async def apply(number: str, person: str, token: str) -> dict:
    """Signs, keeps and pays the application of this number. The same number again pays nothing again."""
    record = await record_of(person)
    account = await exchange.read(ACCOUNT, exchange.ACCOUNTS, person)
    if account is None:
        raise StepFailed(ACCOUNT, "the account mapper knows no account")
    application = {
        "number": number,
        "person": person,
        "name": f"{record['givenName']} {record['familyName']}",
        "amount": AMOUNT,
        "currency": payments.currency(),
    }
    signed = await signature.sign(application, token)
    verdict = await signature.validate(signed, application)
    await exchange.write_once(
        APPLICATION, exchange.APPLICATIONS, number, {**application, "signature": json.dumps(signed), "at": _now()}
    )
    state = await payments.pay(number, account["institution"], account["account"], AMOUNT)
    return {**application, "account": account["account"], "signature": verdict, "payment": state}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
