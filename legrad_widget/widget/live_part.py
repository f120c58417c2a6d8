"""The front end's second file, ``live.js``: everything in the page that needs a kernel, handed over when asked.

The first one, ``widget.js``, is stored with every widget in every saved notebook and is kept small; it knows the
second file that belongs to it by its hash (``js/build.mjs``). The page names no file: there is one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "static" / "live.js"


def live_part(expected: str) -> tuple[dict[str, Any], list[bytes]]:
    """The message, and its buffer, for a page whose first file expects the second with this hash.

    Read anew each time: while the front end is worked on, both files change under a running kernel.
    """
    try:
        code = FILE.read_bytes()
    except OSError:
        return _without("its second file, live.js, is missing: in the project's folder run: cd js && npm run build")
    found = hash_of(code)
    if found != expected:
        return _without(
            f"the page has the front end of another version of legrad-widget (it expects {expected}, here is {found}): "
            "restart the kernel, run the cell again, and reload the page"
        )
    return {"kind": "live", "hash": found, "message": ""}, [code]


def hash_of(code: bytes) -> str:
    """As ``js/build.mjs`` writes it into the first file."""
    return hashlib.sha256(code).hexdigest()[:16]


def _without(why: str) -> tuple[dict[str, Any], list[bytes]]:
    return {"kind": "live", "hash": "", "message": f"The tools cannot be loaded: {why}."}, []
