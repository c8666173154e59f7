"""Static files: as they lie, or collected, with their hash in their names and compressed."""

from pathlib import Path
from wsgiref.headers import Headers

import django
from servestatic.storage import CompressedManifestStaticFilesStorage


class CollectedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # it has no types
    """The files of `collectstatic`, whose modules import each other by their hashed names, too."""

    support_js_module_import_aggregation = True


def add_headers(headers: Headers, _path: str, _url: str) -> None:
    """Add the shortest content security policy to each static file: it is not a page."""
    headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"


def are_collected(root: Path, sources: Path) -> bool:
    """Return whether `collectstatic` has run since the files were last changed.

    Without it a deployment would show pages with files of the one before.
    """
    manifest: Path = root / CollectedFiles.manifest_name
    if not manifest.exists():
        return False
    change_times = [path.stat().st_mtime for path in sources.rglob("*")]
    install_time = Path(django.__file__).stat().st_mtime  # the admin's are of that time
    return manifest.stat().st_mtime > max(install_time, *change_times)
