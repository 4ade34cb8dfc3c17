#!/opt/venv/bin/python
"""Kinto's command."""
import sys

from kinto.__main__ import main

sys.exit(main())
