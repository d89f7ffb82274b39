"""Sweeps and searches over everything that can be configured: many simulations, kept as rows of one table."""
