"""Sweeps over subjects, rates and seeds: named plans, rows of evidence, figures."""
