"""A progress bar for whoever waits at a prompt: nothing that takes seconds is silent there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tqdm.auto import tqdm

P = ParamSpec("P")
T = TypeVar("T")
AFTER = 1.0
"""Seconds before there is a bar: what is quick shows none."""


def with_bar(unit: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Show how far a function is, counted in ``unit``, where nobody passes its argument ``progress``.

    The bar comes after a second and goes when the function ends. Nor is there one where its argument ``show`` is False.
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @wraps(function)
        def told(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs)
            if given.arguments.get("progress") is not None or given.arguments.get("show") is False:
                return function(*args, **kwargs)
            with tqdm(desc=function.__name__, unit=unit, delay=AFTER, leave=False) as bar:

                def progress(step: int, total: int) -> None:
                    bar.total = total
                    bar.update(step - bar.n)

                given.arguments["progress"] = progress
                return function(*given.args, **given.kwargs)

        return told

    return decorated
