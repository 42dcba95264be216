"""The environment, for bug reports: what is installed and works, what the machine has, and what is in the way."""

from hardsight.cli.doctor.core import EXTRAS, examine
from hardsight.cli.doctor.words import told

__all__ = ["EXTRAS", "examine", "told"]
