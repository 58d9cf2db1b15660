"""The pipelines that ``dare-sklearn benchmark`` can name."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from ._options import UsageError

CLASSICAL = (
    "band power + LR", "narrow-band power + LR", "CSP + LDA",
    "filter-bank CSP + LDA", "tangent space + LR", "MDM", "ACM + tangent space + LR",
    "downsampled + LDA", "Xdawn + tangent space + LR",
)  # fmt: skip
READING = "DARE default reading"  # adaptation="linear" with its defaults
CONTROL = "untrained default reading"  # the same network before any pretraining
DARE = (READING, "DARE conv-linear probe", "DARE embeddings + LR", "DARE fine-tuned")
DEEP = ("EEGNet", "ShallowFBCSPNet", "EEGPT (untrained)")
# EEGPT gets the size of DARE's nano: its own 25 million parameters cannot learn from a few hundred
# epochs without pretraining
SMALL = {"embed_num": 1, "embed_dim": 64, "depth": 2, "num_heads": 4, "patch_stride": 64}
KNOWN = (*DARE, CONTROL, *CLASSICAL, *DEEP)
DEFAULT = (
    READING, "DARE conv-linear probe", CONTROL, "band power + LR", "narrow-band power + LR",
    "CSP + LDA", "tangent space + LR", "downsampled + LDA", "Xdawn + tangent space + LR",
)  # fmt: skip
TORCH = {*DARE, CONTROL, *DEEP}  # --device has an effect on these
TRAINED = {"DARE conv-linear probe", "DARE fine-tuned", *DEEP}  # too slow for a learning curve


def choose(names: Iterable[str] | None, encoder: str) -> list[str]:
    """The pipelines of --pipelines, or the default ones."""
    chosen = list(dict.fromkeys(names or DEFAULT))
    for name in chosen:
        if name not in KNOWN:
            close = get_close_matches(name, KNOWN, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise UsageError(f"--pipelines: there is no {name!r}{hint}. Known: {', '.join(KNOWN)}.")
    if encoder == "untrained" and not names:
        chosen.remove(CONTROL)  # the candidate itself
    return chosen


def build(
    names: Iterable[str], encoder: str, device: str, cache: str | None = None
) -> dict[str, Any]:
    """Unfitted pipelines by name; with a `cache`, costs are those of epochs that it lacks."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from ..estimators import DAREClassifier
    from ..evaluation import rival
    from ..transformers import DAREEmbedder
    from ..transformers.classical import classical_pipelines

    weights = None if encoder == "untrained" else encoder
    frozen = {"cache": cache, "device": device}  # the probes with convolutions embed nothing
    embedder = DAREEmbedder(weights, pooling="flatten", **frozen)
    lr = LogisticRegression(C=0.01, max_iter=5_000)
    known = {
        READING: DAREClassifier(weights, adaptation="linear", **frozen),
        CONTROL: DAREClassifier(None, adaptation="linear", **frozen),
        "DARE conv-linear probe": DAREClassifier(weights, device=device),
        "DARE fine-tuned": DAREClassifier(weights, adaptation="finetune", device=device),
        "DARE embeddings + LR": make_pipeline(embedder, StandardScaler(), lr),
        "EEGPT (untrained)": rival("EEGPT", device=device, model_params=SMALL),
        **{name: rival(name, device=device) for name in ("EEGNet", "ShallowFBCSPNet")},
        **classical_pipelines(),
    }
    for name in ("band power + LR", "narrow-band power + LR"):
        known[name].set_params(lr__C=0.01)
    return {name: known[name] for name in names}


def about(encoder: str) -> str:
    """Name and hash of an encoder that can be loaded."""
    if encoder == "untrained":
        return "untrained (random weights)"
    from ..weights.files import WEIGHTS_NAME, sha256
    from ..weights.load import locate

    path = locate(encoder)
    return f"{encoder}, SHA-256 {sha256(path / WEIGHTS_NAME if path.is_dir() else path)}"
