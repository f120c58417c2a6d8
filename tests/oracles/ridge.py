"""The fitted lens, literally: principal components by their covariance, every image left out in turn, float64."""

from __future__ import annotations

import numpy as np

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def solve(z: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """W and b of least squares with a penalty on W alone, by the normal equations with a column of ones."""
    ones = np.hstack([z, np.ones((len(z), 1))])
    ridge = np.diag([penalty] * z.shape[1] + [0.0])
    both = np.linalg.solve(ones.T @ ones + ridge, ones.T @ y)
    return both[:-1], both[-1]


def fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """W [D, E], b [E] and the strength, from x [n, D] and y [n, E]."""
    n, width = x.shape
    covariance = np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    kept = min(width, n // 5)
    values, basis = values[::-1][:kept], vectors[:, ::-1][:, :kept]
    z = x @ basis
    unit = n * values.mean()
    errors = []
    for strength in STRENGTHS:
        error = 0.0
        for out in range(n):
            rest = np.arange(n) != out
            w, b = solve(z[rest], y[rest], strength * unit)
            error += ((z[out] @ w + b - y[out]) ** 2).sum()
        errors.append(error)
    strength = STRENGTHS[int(np.argmin(errors))]
    w, b = solve(z, y, strength * unit)
    return basis @ w, b, strength
