"""Static files: as they lie, or collected, with their hash in their names and compressed."""

from pathlib import Path
from wsgiref.headers import Headers

import django
from servestatic.storage import CompressedManifestStaticFilesStorage


class CollectedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # it has no types
    """What `collectstatic` makes. A module imports others by their hashed names too."""

    support_js_module_import_aggregation = True


def add_headers(headers: Headers, _path: str, _url: str) -> None:
    """A static file is no page: the policy that says so is the shortest, and comes with each."""
    headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"


def are_collected(root: Path, sources: Path) -> bool:
    """Whether `collectstatic` has put them there since they were last changed: a deploy that leaves
    it out shows no page with files of the one before.
    """
    manifest: Path = root / CollectedFiles.manifest_name
    if not manifest.exists():
        return False
    changed = [path.stat().st_mtime for path in sources.rglob("*")]
    installed = Path(django.__file__).stat().st_mtime  # the admin's are of that time
    return manifest.stat().st_mtime > max(installed, *changed)
