"""The documentation site: what is generated of it, how links of the repository become links of the site, and its checks.

`make docs` builds it into ``site/`` from ``docs/``, ``benchmarks/``, the README, the changelog, the commands and docstrings.
"""
