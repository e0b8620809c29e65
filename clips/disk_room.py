"""Whether the disk has room for a cache of known size, before anything of it is computed."""

import shutil
from pathlib import Path


def bytes_taken(path: Path) -> int:
    """What a file takes of the disk: less than its size, if it has holes or the disk compresses; 0 if it is not there."""
    return path.stat().st_blocks * 512 if path.exists() else 0


def check_room(folder: Path, needed: float, what: str) -> None:
    """Refuse a cache that will not fit.

    Args:
        folder: of the cache; it need not exist, but the one that it and others lie in must.
        needed: bytes that are still to be written.
        what: the cache holds.

    Raises:
        ValueError: with the caches beside it, which may have had their time.
    """
    free = shutil.disk_usage(folder.parent).free
    if needed <= free:
        return
    others = [path for path in sorted(folder.parent.glob("*/features")) if path.parent != folder]
    listing = ", ".join(f"{path.parent.name} ({bytes_taken(path) / 1e9:.1f} GB)" for path in others)
    raise ValueError(
        f"the feature cache {folder} needs another {needed / 1e9:.1f} GB for {what}, but the disk has {free / 1e9:.1f} GB; "
        + (f"remove caches of other weights or clips that no run needs: {listing}; or " if listing else "")
        + "take another folder or fewer clips"
    )
