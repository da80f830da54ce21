"""Models that say whether the answer to one question would do for another."""

from pathlib import Path

from cognition.adapters.verifiers.cross_encoder import CrossEncoder
from cognition.errors import ConfigurationError
from cognition.ports import Verifier

__all__ = ["CrossEncoder", "open_verifier"]


def open_verifier(name: str | None) -> Verifier | None:
    """Return the verifier of a name, without loading it; None for None.

    Args:
        name: `onnx:` and the path of a folder, see `CrossEncoder`.

    Raises:
        ConfigurationError: There is none of this name, or its folder lacks a file.
    """
    if name is None:
        return None
    kind, _, place = name.partition(":")
    if kind == "onnx" and place:
        return CrossEncoder(Path(place).expanduser())
    raise ConfigurationError(
        f"There is no verifier {name!r}; write 'onnx:/path/to/a/folder' with a cross-encoder in it."
    )
