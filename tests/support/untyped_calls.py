"""What users meet, whose types nobody checks: in this process, the type checks of tests would be first to refuse."""

import subprocess
import sys

TRIED = """
import hardsight as hs
import numpy as np


def tried(function, *given, **more):
    try:
        function(*given, **more)
        print("nothing said")
    except hs.InputError as refusal:
        print(refusal)
"""


def printed(code: str) -> list[str]:
    """The lines that code prints in a process of its own, in which ``tried`` calls something and prints its refusal."""
    return subprocess.check_output([sys.executable, "-c", TRIED + code], text=True).splitlines()
