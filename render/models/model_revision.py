"""Revision of model weights: the commit of a hub model, or the digest of a folder."""

import hashlib
from pathlib import Path

CHUNK_BYTES = 2**22  # bytes


def find_revision(model: str) -> str:
    """Return the revision of a folder, or of a hub model that was loaded before; empty if it is unknown."""
    folder = Path(model)
    return hash_folder(folder) if folder.is_dir() else _find_hub_commit(model)


def hash_folder(folder: Path) -> str:
    """Return 16 hex digits of a SHA-256 over names, sizes and bytes of all files except hidden ones."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()[:16]


def _find_hub_commit(model: str) -> str:
    """Return the commit from the cache of the hub, which has a folder for each commit."""
    from huggingface_hub import try_to_load_from_cache  # installed only where images are rendered

    found = try_to_load_from_cache(model, "model_index.json")
    return Path(found).parent.name if isinstance(found, str) else ""
