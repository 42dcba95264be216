"""Readers of tables, one module per format. Each gives columns, which :mod:`hardsight.data.cells` converts by their role."""
