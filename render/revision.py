"""What tells one set of weights from another: a hub's commit, or a digest of a folder."""

import hashlib
from pathlib import Path

CHUNK = 2**22  # bytes


def revision(model: str) -> str:
    """The revision of a folder, or of a hub id that was loaded before; empty if it cannot be told."""
    folder = Path(model)
    return of_folder(folder) if folder.is_dir() else _of_hub(model)


def of_folder(folder: Path) -> str:
    """A short SHA-256 over names, sizes and bytes of all its files but the hidden ones."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:16]


def _of_hub(model: str) -> str:
    """The hub's cache has a folder for each commit."""
    from huggingface_hub import try_to_load_from_cache  # only where pictures are rendered

    found = try_to_load_from_cache(model, "model_index.json")
    return Path(found).parent.name if isinstance(found, str) else ""
