"""What defines a model: its size, its grid, and the scale of the signals that it reads."""

from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, Self


@dataclass(frozen=True)
class DAREConfig:
    """Shape of one DARE-EEG model and the signal scale that it was trained on.

    Parameters
    ----------
    embed_num, embed_dim : int
        Number E of summary tokens per patch, and width D of a token.
    depth : tuple of int, length 3
        Blocks of the encoder, the predictor and the reconstructor.
    num_heads : int
        Attention heads H.
    patch_size, sfreq : int and float, default=64 and 256.0
        Samples P per patch, and sampling rate in Hz of the signals that the encoder reads.
    amplitude_uv : float, default=1.0
        Microvolts that become 1.0 at the encoder's input. An encoder must be fed on the scale
        that it was pretrained with, so the scale travels with the weights.
    center : bool, default=False
        Whether the mean of each channel over the epoch is removed at the encoder's input.
    reference : {"average"} or None, default=None
        With "average", the mean over the channels is removed from each sample at the encoder's
        input; None leaves the reference of the recording.
    """

    embed_num: int
    embed_dim: int
    depth: tuple[int, int, int]
    num_heads: int
    patch_size: int = 64
    sfreq: float = 256.0
    amplitude_uv: float = 1.0
    center: bool = False
    reference: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", tuple(int(n) for n in self.depth))
        for name in ("embed_num", "embed_dim", "num_heads", "patch_size"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= 2**16:
                raise ValueError(f"{name} must be an integer from 1 to 65536, got {value!r}.")
        if len(self.depth) != 3 or not all(1 <= n <= 256 for n in self.depth):
            raise ValueError(f"depth must hold three integers from 1 to 256, got {self.depth!r}.")
        if self.embed_dim % (4 * self.num_heads):
            raise ValueError(
                f"embed_dim must be a multiple of 4 * num_heads (rotary pairs), got "
                f"{self.embed_dim} with {self.num_heads} heads."
            )
        if not isinstance(self.center, bool):
            raise ValueError(f"center must be True or False, got {self.center!r}.")
        if self.reference not in ("average", None):
            raise ValueError(f"reference must be 'average' or None, got {self.reference!r}.")
        for name, low, high in (("sfreq", 1.0, 200_000.0), ("amplitude_uv", 1e-9, 1e9)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, got {value!r}.")
            object.__setattr__(self, name, float(value))

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for ``config.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`; unknown entries, and missing ones without default, are refused."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"Unknown entries in the model's configuration: {unknown}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"The model's configuration is incomplete: {error}.") from None


# The sizes of the paper. The scale is ours: 30 microvolts served the shipped encoder better than
# 10, 100 or 300, and an untrained one should differ from it in nothing else.
_OURS = {"amplitude_uv": 30.0, "center": True}
SIZES: dict[str, DAREConfig] = {
    "nano": DAREConfig(1, 64, (2, 2, 4), 4, **_OURS),
    "light": DAREConfig(1, 128, (6, 6, 6), 4, **_OURS),
    "small": DAREConfig(1, 256, (6, 6, 6), 4, **_OURS),
    "base": DAREConfig(4, 256, (8, 8, 8), 4, **_OURS),
    "deep": DAREConfig(4, 512, (8, 8, 8), 8, **_OURS),
}


def get_config(size: str) -> DAREConfig:
    """Configuration of a named size; a ValueError if it is not one of `SIZES`."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {sorted(SIZES)}, got {size!r}.")
    return SIZES[size]
