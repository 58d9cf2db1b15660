"""One pretraining step, batch 16: ours against the plain path; float32 and bf16.

python -m benchmarks.speed.pretrain
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import numpy as np
import torch

from benchmarks.speed.measure import (
    arguments,
    compute_columns,
    count_gflop,
    interleave,
    peak_gflops,
    report,
    row,
)
from benchmarks.speed.plain import pretraining_loss
from dare_sklearn.modules.config import get_config
from dare_sklearn.pretraining.masks import draw_masks
from dare_sklearn.pretraining.objective import PretrainingModel

N_CHANS, N_TIMES, BATCH = 58, 1024, 16
GOALS = {"nano": 1.6, "deep": None}
BF16_GOALS = {"nano": 2.5, "deep": 3.0}


class Trainer:
    """A model with its optimizer, and one way of computing the loss."""

    def __init__(
        self, model: PretrainingModel, plain: bool, bf16: bool = False, compiled: bool = False
    ) -> None:
        self.model = copy.deepcopy(model)
        self.plain, self.bf16 = plain, bf16
        self.forward = torch.compile(self.model, dynamic=True) if compiled else self.model
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=not plain)

    def loss(self, batch) -> torch.Tensor:
        device = batch[0].device.type
        with torch.autocast(device, dtype=torch.bfloat16) if self.bf16 else nullcontext():
            if self.plain:
                return pretraining_loss(self.model, *batch)
            return self.forward(*batch)["loss"]

    def step(self, batch) -> float:
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.model.update_target(0.996)
        return loss.item()


def rows_of(size: str, n_runs: int, curve_steps: int) -> list[dict]:
    torch.manual_seed(0)
    model = PretrainingModel(get_config(size))
    generator = torch.Generator().manual_seed(0)
    channels = torch.arange(N_CHANS)

    def draw():
        x = 10 * torch.randn(BATCH, N_CHANS, N_TIMES, generator=generator)
        return x, channels, draw_masks(N_TIMES // 64, N_CHANS, generator)

    batch = draw()
    trainers = {
        "plain": Trainer(model, plain=True),
        "ours": Trainer(model, plain=False),
        "bf16": Trainer(model, plain=False, bf16=True),
    }
    losses = {name: float(trainer.loss(batch).detach()) for name, trainer in trainers.items()}
    # plain and ours take turns on the same batches, and their curves must stay together
    curves = {name: [] for name in trainers}
    for _ in range(curve_steps):
        drawn = draw()
        for name, trainer in trainers.items():
            curves[name].append(trainer.step(drawn))
    seconds = interleave({k: lambda t=t: t.step(batch) for k, t in trainers.items()}, n_runs, 1)
    gflop = count_gflop(lambda: trainers["ours"].step(batch))
    peak = peak_gflops()

    def line(what: str, fast: str, goal: float | None) -> dict:
        ratios = np.array(curves[fast]) / np.array(curves["plain"])
        return row(
            f"{size} pretraining step, {what}",
            seconds,
            slow="plain",
            fast=fast,
            goal=goal,
            loss_difference=abs(losses[fast] - losses["plain"]),
            curve_difference=np.abs(ratios - 1).max() if curve_steps else np.nan,
            curve_steps=curve_steps,
            **compute_columns(seconds[fast], gflop, peak),
        )

    return [line("fp32", "ours", GOALS[size]), line("bf16", "bf16", BF16_GOALS[size])]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", nargs="+", default=["nano"], choices=list(GOALS))
    parser.add_argument("--curve-steps", type=int, default=0, help="steps of the loss curves")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = [line for size in args.sizes for line in rows_of(size, args.runs, args.curve_steps)]
    report(rows, "pretrain", args.out)


if __name__ == "__main__":
    main()
