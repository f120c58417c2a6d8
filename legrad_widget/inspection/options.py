"""The options of ``inspect``: what there is, said where something else is passed."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def check_options(options: Mapping[str, Any], taken_by: Callable[..., Any], *more: str) -> None:
    """Refuse an option that is none of the keyword arguments of ``taken_by``, nor one of ``more``.

    Raises:
        TypeError: there is no such option; the sentence says which there are, and which one may be meant.
    """
    parameters = inspect.signature(taken_by).parameters.values()
    names = [*(one.name for one in parameters if one.kind is one.KEYWORD_ONLY), *more]
    for name in options:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise TypeError(f"inspect has no option {name!r}{hint}; its options are {', '.join(names)}")
