"""Timing two ways of doing the same work: warm, interleaved A B A B, the median of several."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

N_RUNS = 7


def interleave(
    ways: dict[str, Callable[[], object]],
    n_runs: int = N_RUNS,
    n_warm: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds, by the clock, of every run of every way, which take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(-n_warm, n_runs):
        for name, work in ways.items():
            synchronize()
            start = clock()
            work()
            synchronize()
            if run >= 0:
                seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def count_gflop(work: Callable[[], object]) -> float:
    """Operations of the matrix products and attentions of one run, in 1e9."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def peak_gflops(dtype: torch.dtype = torch.float32, size: int = 2048, device: str = "cpu") -> float:
    """GFLOP/s of a large matrix product on this machine, now."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = interleave({"mm": lambda: a @ b})["mm"]
    return 2 * size**3 / np.median(seconds) / 1e9


def row(
    work: str, ways: dict[str, np.ndarray], *, slow: str, fast: str, **more: object
) -> dict[str, object]:
    """One row of the table: how many times `fast` is faster than `slow`."""
    ratios = ways[slow] / ways[fast]  # neighbours in time
    return {
        "work": work,
        "against": slow,
        "seconds": np.median(ways[fast]),
        "seconds_against": np.median(ways[slow]),
        "ratio": np.median(ways[slow]) / np.median(ways[fast]),
        "ratio_low": np.percentile(ratios, 25),
        "ratio_high": np.percentile(ratios, 75),
        **more,
    }


def report(rows: list[dict], name: str, out: Path) -> None:
    """Print the table and write it as CSV."""
    table = pd.DataFrame(rows)
    table["threads"] = torch.get_num_threads()
    table["torch"] = torch.__version__
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / f"{name}.csv", index=False)
    with pd.option_context("display.width", 200, "display.max_columns", 30):
        print(table.drop(columns=["torch"]).to_string(index=False, float_format="{:.4g}".format))
    print(f"Written to {out / f'{name}.csv'}")


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("speed_results"), help="folder of the CSV")
    parser.add_argument("--runs", type=int, default=N_RUNS, help="timed runs of each way")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch")
    return parser
