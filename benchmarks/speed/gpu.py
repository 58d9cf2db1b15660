"""On a GPU: throughput of pretraining and embedding, and its share of the chip's bf16 peak.

    python -m benchmarks.speed.gpu --out DIR

Needs torch and numpy, pandas, xxhash and scikit-learn only. Goals: deep at 40 % of the measured
bf16 peak or more, nano at least 5 times the plain path in TF32. Not run by the tests.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.speed.measure import arguments, count_gflop, interleave, peak_gflops, report
from benchmarks.speed.plain import encode
from benchmarks.speed.pretrain import Trainer
from dare_sklearn.modules.config import SIZES, get_config
from dare_sklearn.modules.encoder import Encoder
from dare_sklearn.modules.layers import init_weights
from dare_sklearn.pretraining.masks import draw_masks
from dare_sklearn.pretraining.objective import PretrainingModel

N_CHANS, N_TIMES = 58, 1024
BATCHES = {"nano": 216, "light": 216, "small": 216, "base": 108, "deep": 64}


def pretraining(size: str, n_runs: int, peak: float, compiled: bool) -> list[dict]:
    torch.manual_seed(0)
    batch_size = BATCHES[size]
    model = PretrainingModel(get_config(size)).cuda()
    x = 10 * torch.randn(batch_size, N_CHANS, N_TIMES, device="cuda")
    channels = torch.arange(N_CHANS, device="cuda")
    masks = draw_masks(N_TIMES // 64, N_CHANS, torch.Generator().manual_seed(0)).to("cuda")
    batch = (x, channels, masks)
    trainers = {
        "plain, TF32": Trainer(model, plain=True),
        "ours, TF32": Trainer(model, plain=False),
        "ours, bf16": Trainer(model, plain=False, bf16=True),
    }
    if compiled:
        trainers["ours, bf16, compiled"] = Trainer(model, plain=False, bf16=True, compiled=True)
    seconds = interleave({k: lambda t=t: t.step(batch) for k, t in trainers.items()}, n_runs, 4)
    gflop = count_gflop(lambda: trainers["plain, TF32"].step(batch))
    return _lines("pretraining", size, batch_size, seconds, gflop, peak)


def embedding(size: str, n_runs: int, peak: float, compiled: bool) -> list[dict]:
    torch.manual_seed(0)
    batch_size = 4 * BATCHES[size]
    encoder = Encoder(get_config(size))
    init_weights(encoder)
    encoder = encoder.cuda().eval().requires_grad_(False)
    x = encoder.normalize(10 * torch.randn(batch_size, N_CHANS, N_TIMES, device="cuda"))
    channels = torch.arange(N_CHANS, device="cuda")

    def in_bf16(network):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return network(x, channels)

    ways = {
        "plain, TF32": lambda: encode(encoder, x, channels),
        "ours, TF32": lambda: encoder(x, channels),
        "ours, bf16": lambda: in_bf16(encoder),
    }
    if compiled:
        fused = torch.compile(encoder)
        ways["ours, bf16, compiled"] = lambda: in_bf16(fused)
    with torch.inference_mode():
        seconds = interleave(ways, n_runs, 4)
        gflop = count_gflop(ways["plain, TF32"])
    return _lines("embedding", size, batch_size, seconds, gflop, peak)


def agreement(size: str) -> list[dict]:
    """How far embeddings in float32 lie from the CPU's, relative to their spread."""
    torch.manual_seed(0)
    encoder = Encoder(get_config(size))
    init_weights(encoder)
    encoder.eval().requires_grad_(False)
    x = encoder.normalize(10 * torch.randn(4, N_CHANS, 256))
    channels = torch.arange(N_CHANS)
    expected = encoder(x, channels)
    torch.set_float32_matmul_precision("highest")
    got = encoder.cuda()(x.cuda(), channels.cuda()).cpu()
    torch.set_float32_matmul_precision("high")
    error = ((got - expected).abs().max() / expected.std()).item()
    return [{"work": "CUDA against CPU", "size": size, "way": "ours, float32", "error": error}]


def _lines(work, size, batch_size, seconds, gflop, peak) -> list[dict]:
    """One row per way; operations are those of the plain path, so that shares compare work done."""
    plain = np.median(seconds["plain, TF32"])
    return [
        {
            "work": work,
            "size": size,
            "way": way,
            "batch": batch_size,
            "seconds": np.median(values),
            "epochs_per_second": batch_size / np.median(values),
            "ratio_to_plain": plain / np.median(values),
            "gflop_of_plain": gflop,
            "peak_bf16_gflops": peak,
            "share_of_peak": gflop / np.median(values) / peak,
        }
        for way, values in seconds.items()
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--compile", action="store_true", help="torch.compile as well (minutes)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a CUDA device, and torch finds none.")
    torch.set_float32_matmul_precision("high")
    peak = peak_gflops(torch.bfloat16, size=8192, device="cuda")
    rows = []
    for size in args.sizes:
        rows += agreement(size)
        for work in (pretraining, embedding):
            rows += work(size, args.runs, peak, args.compile)
        report(rows, "gpu", args.out)  # after each size: an interrupted run keeps what it has


if __name__ == "__main__":
    main()
