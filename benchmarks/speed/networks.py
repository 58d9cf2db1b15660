"""Embedding and pretraining, 58 electrodes x 4 s: ours against the plain path, float32 and bf16.

    python -m benchmarks.speed.networks [--device cuda] [--sizes nano deep] [--compile]

Batches are of 16 on a CPU, and of `BATCHES` on a GPU, where float32 is timed in TF32. Shares of
the peak (of a large matrix product, float32 on a CPU and bf16 on a GPU) count the operations of the
plain path, so that they compare work done. Errors are those against the plain path on a CPU, of
embeddings relative to their norm, and of losses. With --curve-steps, all ways of pretraining first
take so many steps on the same batches, and the largest difference of their losses is a column.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch

from benchmarks.speed.measure import arguments, count_gflop, interleave, peak_gflops, report
from benchmarks.speed.plain import encode, pretraining_loss
from dare_sklearn.modules.config import SIZES, get_config
from dare_sklearn.modules.networks import Encoder, init_weights
from dare_sklearn.pretraining.masks import draw_masks
from dare_sklearn.pretraining.objective import PretrainingModel

N_CHANS, N_TIMES = 58, 1024
BATCHES = {"nano": 216, "light": 216, "small": 216, "base": 108, "deep": 64}
EMBEDDED_AT_ONCE = 4  # times the batch of pretraining, on a GPU


class Trainer:
    """A model with its optimizer, and one way of computing the loss."""

    def __init__(
        self, model: PretrainingModel, plain: bool = False, bf16: bool = False, fused: bool = False
    ) -> None:
        self.model = copy.deepcopy(model)
        self.plain, self.bf16 = plain, bf16
        self.forward = torch.compile(self.model, dynamic=True) if fused else self.model
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=not plain)

    def loss(self, batch: tuple) -> torch.Tensor:
        with in_bf16(batch[0].device.type) if self.bf16 else nullcontext():
            if self.plain:
                return pretraining_loss(self.model, *batch)
            return self.forward(*batch)["loss"]

    def step(self, batch: tuple) -> float:
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.model.update_target(0.996)
        return loss.item()


def in_bf16(device: str) -> torch.autocast:
    return torch.autocast(device, dtype=torch.bfloat16)


def pretraining(size: str, batch_size: int, args, peak: float) -> list[dict]:
    torch.manual_seed(0)
    model = PretrainingModel(get_config(size)).to(args.device)
    generator = torch.Generator().manual_seed(0)
    channels = torch.arange(N_CHANS, device=args.device)

    def draw() -> tuple:
        x = 10 * torch.randn(batch_size, N_CHANS, N_TIMES, generator=generator)
        masks = draw_masks(N_TIMES // 64, N_CHANS, generator)
        return x.to(args.device), channels, masks.to(args.device)

    trainers = {
        "plain": Trainer(model, plain=True), "ours": Trainer(model),
        "ours, bf16": Trainer(model, bf16=True),
    }  # fmt: skip
    if args.compile:
        trainers["ours, bf16, compiled"] = Trainer(model, bf16=True, fused=True)
    batch = draw()
    losses = {name: float(trainer.loss(batch).detach()) for name, trainer in trainers.items()}
    curves = np.empty((args.curve_steps, len(trainers)))
    for losses_of_step in curves:
        drawn = draw()
        losses_of_step[:] = [trainer.step(drawn) for trainer in trainers.values()]
    apart = np.abs(curves / curves[:, :1] - 1).max(axis=0, initial=0.0)
    ways = {name: lambda t=trainer: t.step(batch) for name, trainer in trainers.items()}
    errors = {name: abs(loss - losses["plain"]) for name, loss in losses.items()}
    lines = lines_of("pretraining", size, batch_size, ways, errors, args.runs, peak)
    return [{**line, "curve": far} for line, far in zip(lines, apart, strict=True)]


def embedding(size: str, batch_size: int, args, peak: float) -> list[dict]:
    torch.manual_seed(0)
    encoder = Encoder(get_config(size))
    init_weights(encoder)
    encoder.eval().requires_grad_(False)
    x = encoder.normalize(10 * torch.randn(batch_size, N_CHANS, N_TIMES))
    channels, few = torch.arange(N_CHANS), min(batch_size, 16)
    alone = torch.arange(N_TIMES // 64 * N_CHANS)[:, None]
    joint = encode(encoder, x[:few], channels)
    single = encode(encoder, x[:few], channels, alone).unflatten(1, (-1, N_CHANS)).transpose(1, 2)
    encoder, x, channels = (part.to(args.device) for part in (encoder, x, channels))

    def with_bf16(network: Callable) -> torch.Tensor:
        with in_bf16(args.device):
            return network(x, channels)

    ways = {
        "plain": lambda: encode(encoder, x, channels),
        "ours": lambda: encoder(x, channels),
        "ours, electrodes alone": lambda: encoder.forward_electrodes(x, channels),
        "ours, bf16": lambda: with_bf16(encoder),
    }
    if args.compile:
        compiled = torch.compile(encoder)
        ways["ours, bf16, compiled"] = lambda: with_bf16(compiled)
    errors = {}
    with torch.inference_mode():
        for name, way in ways.items():
            expected = single if "alone" in name else joint
            errors[name] = float((way()[:few].float().cpu() - expected).norm() / expected.norm())
        return lines_of("embedding", size, batch_size, ways, errors, args.runs, peak)


def lines_of(work, size, batch_size, ways, errors, n_runs, peak) -> list[dict]:
    """One row per way."""
    on_gpu = torch.cuda.is_available()
    torch.set_float32_matmul_precision("high" if on_gpu else "highest")
    seconds = interleave(ways, n_runs, 4 if on_gpu else 2)
    torch.set_float32_matmul_precision("highest")
    gflop = count_gflop(ways["plain"])
    lines = []
    for way, values in seconds.items():
        ratios = seconds["plain"] / values  # neighbours in time
        lines.append(
            {
                "work": work, "size": size, "way": way, "batch": batch_size,
                "seconds": np.median(values), "epochs_per_second": batch_size / np.median(values),
                "times_plain": np.median(seconds["plain"]) / np.median(values),
                "low": np.percentile(ratios, 25), "high": np.percentile(ratios, 75),
                "gflop_of_plain": gflop, "share_of_peak": gflop / np.median(values) / peak,
                "error": errors[way],
            }
        )  # fmt: skip
    return lines


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["nano", "deep"], choices=list(SIZES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well (minutes)")
    parser.add_argument("--curve-steps", type=int, default=0, help="steps of the loss curves")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    on_cpu = args.device == "cpu"
    peak = peak_gflops() if on_cpu else peak_gflops(torch.bfloat16, 8192, args.device)
    rows = []
    for size in args.sizes:
        batch = 16 if on_cpu else BATCHES[size]
        rows += pretraining(size, batch, args, peak)
        rows += embedding(size, batch if on_cpu else EMBEDDED_AT_ONCE * batch, args, peak)
        report(rows, "networks", args.out)  # after each size: an interrupted run keeps what it has


if __name__ == "__main__":
    main()
