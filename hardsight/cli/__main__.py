"""`python -m hardsight.cli`."""

from hardsight.cli import main

main()
