"""Limits that hold for every model, whatever its architecture. The formulas need no torch."""

from recallscope.bounds.information import accuracy_limit as accuracy_limit
