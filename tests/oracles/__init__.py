"""Slow, literal versions of each paper: float64, explicit attention, plain autograd, nothing of ours."""
