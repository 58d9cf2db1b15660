"""Embeddings, 58 channels x 4 s: ours against the plain path, bf16 and compile against float32.

python -m benchmarks.speed.embed
"""

from __future__ import annotations

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
from benchmarks.speed.plain import encode
from dare_sklearn.modules.config import get_config
from dare_sklearn.modules.encoder import Encoder
from dare_sklearn.modules.layers import init_weights

N_CHANS, N_TIMES, BATCH = 58, 1024, 16
GOALS = {"nano": 1.8, "light": None, "deep": 1.15}
ELECTRODES_GOALS = {"nano": 1 / 1.5}
BF16_GOALS = {"nano": 2.0, "light": 2.5, "deep": 3.2}


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


def rows_of(size: str, n_runs: int, compiled: bool) -> list[dict]:
    torch.manual_seed(0)
    encoder = Encoder(get_config(size))
    init_weights(encoder)
    encoder.eval().requires_grad_(False)
    x = encoder.normalize(10 * torch.randn(BATCH, N_CHANS, N_TIMES))
    channels = torch.arange(N_CHANS)

    def in_bf16() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return encoder(x, channels)

    ways = {
        "plain": lambda: encode(encoder, x, channels),
        "ours": lambda: encoder(x, channels),
        "electrodes": lambda: encoder.forward_electrodes(x, channels),
        "bf16": in_bf16,
    }
    if compiled:
        fast = torch.compile(encoder)
        ways["compiled"] = lambda: fast(x, channels)
    with torch.inference_mode():
        expected = ways["plain"]()
        alone = torch.arange(N_TIMES // 64 * N_CHANS)[:, None]
        expected_alone = encode(encoder, x, channels, alone).unflatten(1, (-1, N_CHANS))
        errors = {
            name: relative_error(way(), expected)
            if name != "electrodes"
            else relative_error(way(), expected_alone.transpose(1, 2))
            for name, way in ways.items()
        }
        seconds = interleave(ways, n_runs)
        gflop = count_gflop(ways["ours"])
        peak = peak_gflops()

    def line(what: str, slow: str, fast: str, goal: float | None) -> dict:
        return row(
            f"{size} embeddings, {what}",
            seconds,
            slow=slow,
            fast=fast,
            goal=goal,
            relative_error=errors[fast],
            **compute_columns(seconds[fast], gflop, peak),
        )

    rows = [line("fp32", "plain", "ours", GOALS[size])]
    rows.append(line("bf16", "ours", "bf16", BF16_GOALS[size]))
    # every electrode alone, against all together: 1.5 times the cost
    rows.append(line("electrodes alone", "ours", "electrodes", ELECTRODES_GOALS.get(size)))
    if compiled:
        rows.append(line("compiled", "ours", "compiled", None))
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(GOALS), choices=list(GOALS))
    parser.add_argument("--compile", action="store_true", help="torch.compile too (a C++ compiler)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = [line for size in args.sizes for line in rows_of(size, args.runs, args.compile)]
    report(rows, "embed", args.out)


if __name__ == "__main__":
    main()
