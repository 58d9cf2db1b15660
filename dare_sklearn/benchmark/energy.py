"""Energy of cells, where codecarbon is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ("dataset", "pipeline", "seed", "n_folds", "kwh")


@dataclass
class Energy:
    """Filled when the block of `EnergyMeter.measure` ends; None where nobody measured."""

    kwh: float | None = None


class EnergyMeter:
    """Kilowatt-hours by codecarbon's offline tracker, kept in a file beside the cells.

    A cell that was finished before costs nothing now: what it cost then stands in the file.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / "energy.jsonl"
        self.active = find_spec("codecarbon") is not None

    @contextmanager
    def measure(self) -> Iterator[Energy]:
        """Energy of the block."""
        energy = Energy()
        tracker = self._start() if self.active else None
        try:
            yield energy
        finally:
            if tracker is not None:
                tracker.stop()
                energy.kwh = float(tracker.final_emissions_data.energy_consumed)

    def store(
        self, energy: Energy, dataset: str, pipeline: str, folds: list, data: Any, seed: int
    ) -> None:
        """Keep the energy of cells that were computed just now."""
        if energy.kwh is None:
            return
        key = f"{data.meta['subject'].iloc[0]} {[int(test[0]) for _, test in folds]}"
        row = [dataset, pipeline, seed, len(folds), energy.kwh, key]
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def table(self) -> pd.DataFrame:
        """Kilowatt-hours per data set and pipeline: of each cell the largest that was measured,
        which is that of computing it."""
        rows = []
        if self._file.exists():
            for line in self._file.read_text("utf-8").splitlines():
                try:
                    rows.append(json.loads(line))
                except ValueError:  # a line that a killed process left unfinished
                    continue
        table = pd.DataFrame(rows, columns=[*COLUMNS, "key"])
        if table.empty:
            return table[["dataset", "pipeline", "kwh"]]
        most = table.groupby(["dataset", "pipeline", "seed", "key"], sort=False)["kwh"].max()
        return most.groupby(level=["dataset", "pipeline"], sort=False).sum().reset_index()

    def _start(self) -> Any:
        from codecarbon import OfflineEmissionsTracker

        # the country changes the carbon, which is not reported, and not the energy
        tracker = OfflineEmissionsTracker(
            country_iso_code="FRA",
            save_to_file=False,
            log_level="critical",
            allow_multiple_runs=True,
        )
        tracker.start()
        return tracker
