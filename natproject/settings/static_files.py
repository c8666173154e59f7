"""The static files: uncollected, or collected with hashed names and compressed."""

from pathlib import Path
from wsgiref.headers import Headers

import django
from servestatic.storage import CompressedManifestStaticFilesStorage


class CollectedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # the package has no types
    """The storage of `collectstatic`, with hashed names also in imports of JavaScript modules."""

    support_js_module_import_aggregation = True


def add_headers(headers: Headers, _path: str, _url: str) -> None:
    """Add a content security policy that forbids everything: static files are no pages."""
    headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"


def are_collected(root: Path, sources: Path) -> bool:
    """Return whether `collectstatic` has run since the last change of a file.

    Without this check, a deployment would serve pages with static files of the previous one.
    """
    manifest: Path = root / CollectedFiles.manifest_name
    if not manifest.exists():
        return False
    change_times = [path.stat().st_mtime for path in sources.rglob("*")]
    install_time = Path(django.__file__).stat().st_mtime  # time of Django's admin files, too
    return manifest.stat().st_mtime > max(install_time, *change_times)
