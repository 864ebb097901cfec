"""The files of one data set: two JSONs, the report, and a manifest that appears last."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.dataset.write_coco import CountedFile
from backend.project.atomic import atomic_file, remove_temporary
from backend.project.errors import InputError
from backend.project.locks import file_lock, make_folder
from backend.project.manifest import MANIFEST, Manifest, now, read_manifest

TRAIN_SUFFIX = "_train"


@dataclass(frozen=True)
class Outputs:
    """Where a data set's files go. ``val`` is None where no validation file is written."""

    train: Path
    val: Path | None

    @classmethod
    def beside(cls, train: Path, val: Path | None) -> "Outputs":
        """Check the two names.

        Raises
        ------
        InputError
            If they are no ``.json`` files, or the same.
        """
        for path in (train, val):
            if path is not None and path.suffix != ".json":
                raise InputError(f"{path} must end in .json, such as COCO_jsons/lek_train.json")
        if val is not None and os.path.realpath(train) == os.path.realpath(val):
            raise InputError(f"--json-path-train and --json-path-val are both {train}")
        return cls(Path(os.path.abspath(train)), None if val is None else Path(os.path.abspath(val)))

    @property
    def folder(self) -> Path:
        """Folder of the training file, the report and the manifest."""
        return self.train.parent

    @property
    def name(self) -> str:
        """Name of the set: ``lek`` for ``lek_train.json``."""
        return self.train.stem.removesuffix(TRAIN_SUFFIX) or self.train.stem

    @property
    def manifest(self) -> Path:
        """``NAME.manifest.json``: `backend.project.manifest.verify` accepts it as an output."""
        return self.folder / f"{self.name}.{MANIFEST}"

    @property
    def report_json(self) -> Path:
        """``NAME_report.json``."""
        return self.folder / f"{self.name}_report.json"

    @property
    def report_html(self) -> Path:
        """``NAME_report.html``."""
        return self.folder / f"{self.name}_report.html"

    @property
    def files(self) -> list[Path]:
        """Everything but the manifest, in the order in which nothing is opened before what it needs is there."""
        return [self.report_json, self.report_html, *([self.val] if self.val else []), self.train]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folders and hold the set's name.

        What a killed run left is cleared away, so that the names are free.

        Raises
        ------
        InputError
            If another process holds it, files of these names are there already, or one stands for the folder.
        """
        for path in self.files:
            make_folder(path.parent)
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(file_lock(self.folder / f".{self.name}.lock"))
            except BlockingIOError as error:
                raise InputError(f"{self.name} in {self.folder} is being written by another process") from error
            for path in (*self.files, self.manifest):
                remove_temporary(path.parent, path.name)
            self._clear_leftovers()
            yield

    @contextlib.contextmanager
    def written(self, manifest: Manifest) -> Iterator[dict[Path, CountedFile]]:
        """Open all files for writing; they take their names together, right after each other, when the block ends well.

        An incomplete manifest marks the few milliseconds in which the names appear. It becomes complete behind the
        last of them.
        """
        with contextlib.ExitStack() as stack:
            files = {path: CountedFile(stack.enter_context(atomic_file(path))) for path in reversed(self.files)}
            yield files
            for path, file in files.items():
                file.to_disk()
                manifest.files[os.path.relpath(path, self.folder)] = file.finished()
            manifest.write(self.manifest)
        manifest.complete, manifest.finished = True, now()
        manifest.write(self.manifest)

    def _clear_leftovers(self) -> None:
        manifest = read_manifest(self.manifest)
        if manifest is not None and not manifest.complete:
            for path in (*reversed(self.files), self.manifest):
                path.unlink(missing_ok=True)
        for path in (*self.files, self.manifest):
            if path.exists():
                raise InputError(f"{path} is there already; choose another name, or move that set away")
