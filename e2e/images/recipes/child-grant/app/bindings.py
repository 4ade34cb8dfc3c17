"""What the service was given: a folder for each block that it uses, a file for each value (servicebinding.io)."""

import os
from pathlib import Path

ROOT = Path(os.environ["SERVICE_BINDING_ROOT"])


def value(block: str, key: str) -> str:
    """One value of a binding."""
    return (ROOT / block / key).read_text()


def path(block: str, key: str) -> str:
    """Where one value lies, for what reads files."""
    return str(ROOT / block / key)
