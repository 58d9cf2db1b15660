"""The pipelines that a suite can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checks import SuiteError, hint
from .suite import PipelineSpec

CLASSICAL = (
    "band power + LR",
    "narrow-band power + LR",
    "Hjorth, entropy + LR",
    "CSP + LDA",
    "filter-bank CSP + LDA",
    "tangent space + LR",
    "MDM",
    "ACM + tangent space + LR",
    "downsampled + LDA",
    "Xdawn + tangent space + LR",
)
PLAIN = ("samples + LR",)  # the classifier of the embeddings on plain samples
DARE = ("DARE embeddings + LR", "DARE conv-linear probe", "DARE fine-tuned")
CONTROL = ("untrained embeddings + LR",)  # the encoder before any pretraining
DEEP = ("EEGNet", "ShallowFBCSPNet", "EEGPT (untrained)")
KNOWN = (*DARE, *CONTROL, *CLASSICAL, *PLAIN, *DEEP)


def role(spec: PipelineSpec) -> str:
    """What a pipeline stands for in the answer: "dare", "control", "classical" or "deep"."""
    roles = {"dare": DARE, "control": CONTROL, "deep": DEEP}
    return next((name for name, kinds in roles.items() if spec.kind in kinds), "classical")


def build(
    spec: PipelineSpec, encoder: Any, device: str = "auto", layout: Mapping[str, Any] | None = None
) -> Any:
    """The unfitted pipeline of a specification.

    Parameters
    ----------
    spec : PipelineSpec
    encoder : str, path or None
        Of DARE's pipelines; None is an untrained one.
    device : str, default="auto"
        Device of torch, for the pipelines that use it.
    layout : mapping or None, default=None
        ``ch_names``, ``sfreq`` and ``unit`` of arrays; mne.Epochs need none.

    Raises
    ------
    SuiteError
        If a parameter of `spec`, or of its grid, is unknown.
    ImportError
        If a library that it needs is missing.
    """
    pipeline = _make(spec.kind, encoder, device, dict(layout or {}))
    known = pipeline.get_params(deep=True)
    for name in (*spec.params, *spec.grid):
        if name not in known:
            raise SuiteError(
                f"The pipeline {spec.name!r} has no parameter {name!r}{hint(name, known)}."
            )
    return pipeline.set_params(**spec.params)


def _make(kind: str, encoder: Any, device: str, layout: dict[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from ..estimators import DAREClassifier
    from ..transformers import DAREEmbedder
    from ..transformers.classical import DownsampledSignals, classical_pipelines

    tail = [("scale", StandardScaler()), ("lr", LogisticRegression(max_iter=5_000))]
    if kind in CLASSICAL:
        return classical_pipelines("all", **layout)[kind]
    if kind in PLAIN:
        return Pipeline([("samples", DownsampledSignals(**layout)), *tail])
    if kind in DEEP:
        from ..evaluation import deep_pipelines

        return deep_pipelines(device=device, **layout)[kind]
    if kind in ("DARE embeddings + LR", *CONTROL):
        source = None if kind in CONTROL else encoder
        embedder = DAREEmbedder(source, pooling="flatten", cache="memory", device=device, **layout)
        return Pipeline([("embed", embedder), *tail])
    adaptation = "finetune" if kind == "DARE fine-tuned" else "conv-linear"
    return DAREClassifier(encoder, adaptation=adaptation, device=device, **layout)
