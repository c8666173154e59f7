"""Files that are given in a form, as Django's forms take them."""

from collections.abc import Mapping
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict

from sessions_app.models import AttachedFile

if TYPE_CHECKING:
    AnyFile = UploadedFile[Any]
else:
    AnyFile = UploadedFile

Files = Mapping[str, AttachedFile]


class Upload(AnyFile):
    """A file that is kept already: it is opened when something reads it."""

    def __init__(self, kept: AttachedFile) -> None:
        self.kept = kept
        self.name = kept.name
        self.size = kept.size
        self.content_type = kept.content_type
        self.charset = None
        self.content_type_extra = None

    @cached_property
    def file(self) -> IO[Any]:  # type: ignore[override] # a plain attribute there
        """What is in it."""
        return self.kept.open()

    def let_go(self) -> None:
        """Close it, if anything has opened it."""
        if "file" in vars(self):
            self.file.close()


def uploads(files: Files, prefix: str) -> "MultiValueDict[str, AnyFile]":
    """The files as the form of a page has them; by its fields."""
    return MultiValueDict({f"{prefix}-{name}": [Upload(file)] for name, file in files.items()})
