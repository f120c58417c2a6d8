"""Costs, measured. Budgets are asserted in FLOPs, bytes and counters; seconds and resident memory are reported only."""
