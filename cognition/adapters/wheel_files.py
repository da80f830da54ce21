"""Model files that come in package wheels, as data."""

import hashlib
import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cognition.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A file inside an installed wheel.

    Attributes:
        package: Import package that holds it; never imported, for it may import libraries that we do not install.
        file: Name of the file in it.
        install: Arguments for `pip install` that bring it.
        member: Name of the file in the ZIP archive that `file` is; None when `file` is no archive.
        sha256: Digest of the contents in hexadecimal; None when they are not checked.
    """

    package: str
    file: str
    install: str
    member: str | None = None
    sha256: str | None = None

    def path(self) -> Path:
        """Return where the file, or its archive, lies.

        Raises:
            ConfigurationError: It is not installed; the sentence says how to install it.
        """
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            path = Path(folder, self.file)
            if path.is_file():
                return path
        raise ConfigurationError(f"The file {self.file} of {self.package} is missing; run: pip install {self.install}")

    def read(self) -> bytes:
        """Return the contents, after a look at their digest (20 ms for 23 MB).

        Raises:
            ConfigurationError: It is not installed, or is another file than the one we know.
        """
        path = self.path()
        try:
            contents = path.read_bytes() if self.member is None else _member_of(path, self.member)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise self._not_ours(path) from error
        if self.sha256 not in {None, hashlib.sha256(contents).hexdigest()}:
            raise self._not_ours(path)
        return contents

    def _not_ours(self, path: Path) -> ConfigurationError:
        message = f"{path} is damaged or of another version; run: pip install --force-reinstall {self.install}"
        return ConfigurationError(message)


def _member_of(path: Path, member: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)
