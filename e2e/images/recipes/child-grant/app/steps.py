"""The steps of the service. One that fails stops the application, and says whose turn it is."""


class StepFailed(Exception):
    """A step that did not do what it is for."""

    def __init__(self, step: str, why: str):
        super().__init__(f"{step}: {why}")
        self.step = step
        self.why = why


SIGN_IN = "sign-in"
CONSENT = "consent"
RECORD = "record"
ACCOUNT = "account"
SIGNATURE = "signature"
APPLICATION = "application"
PAYMENT = "payment"
