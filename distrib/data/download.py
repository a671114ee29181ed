"""Downloads: files that are fetched once, checked, and kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from distrib.base import environment
from distrib.base.errors import DataError

MAX_DOWNLOAD_BYTES = 256 << 20
TIMEOUT_S = 60.0


def cache_folder() -> Path:
    """The folder for what is downloaded. Raises `DataError` where there is none."""
    folder = environment.text(environment.CACHE)
    if folder:
        return Path(folder)
    try:
        return Path.home() / ".cache" / "distrib"
    except RuntimeError:
        raise DataError(
            "Downloads need a folder, and this user has no home folder. Set DISTRIB_CACHE."
        ) from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """The MD5 of a file, as hexadecimal digits: against damage, not against malice."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(url: str, target: Path, verify: Callable[[Path], None], advice: str) -> None:
    """Fetch a file, check it, and only then give it its name; ranks that do so at once do not disturb each other.

    Args:
        url: where it is.
        target: where it goes.
        verify: raises `DataError` for another content.
        advice: what to do where it cannot be fetched.

    Raises:
        DataError: it cannot be fetched or kept, is too large, or is something else.
    """
    import http.client  # these two bring ssl and email, and most scripts download nothing
    import urllib.request

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise DataError(
            f"{target.name} cannot be kept in {target.parent}: {error}. Set DISTRIB_CACHE to a folder that can be "
            "written."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            while piece := answer.read(1 << 20):
                file.write(piece)
                if file.tell() > MAX_DOWNLOAD_BYTES:
                    raise DataError(f"{url} is larger than {MAX_DOWNLOAD_BYTES} bytes.")
        verify(Path(temporary))
        os.replace(temporary, target)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"Cannot download {url}: {error}. {advice}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
