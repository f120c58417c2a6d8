"""Files that are there as a whole or not at all. Imports nothing of ours."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` under another name beside ``path``, then rename: nobody ever reads half a file.

    Raises:
        IsADirectoryError, FileNotFoundError, PermissionError, OSError: a folder, no folder to write into, not allowed,
            disk full; the sentence says which. What was at ``path`` is untouched then.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder: name a file in it, e.g. {file / 'legrad.html'}")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent} to write {file.name} into: make it first")
    try:
        handle, partial = tempfile.mkstemp(prefix=f".{file.name[:40]}.", dir=file.parent)
    except OSError as error:
        raise type(error)(error.errno, f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        Path(partial).chmod(_mode(file))
        Path(partial).replace(file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return file


def _mode(file: Path) -> int:
    """The permissions that the file has, or that a new one gets here."""
    if file.exists():
        return file.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
