"""Sizes of the encoder on one data set: untrained, and pretrained by the recipe in configs/sizes.

Run: python -m benchmarks.sizes --data FOLDER --out FOLDER --cells FOLDER [--task stimulus]
     [--sizes nano light small] [--seeds 2] [--runs FOLDER [--train]]

Every encoder is read by the default reading, on the folds of the task. --runs holds a folder SIZE
for each run of benchmarks.pretrain.run; --train starts or continues those that are not finished,
which takes hours of a CPU for more than nano. Without --runs only untrained encoders are compared.
--out gets sizes.csv with means and intervals.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import mne
import sklearn

from benchmarks.evidence.rows import linear, metric_of
from benchmarks.pretrain.run import RunConfig, pretrain
from benchmarks.tasks import TASKS
from dare_sklearn import DAREPretrainer
from dare_sklearn.evaluation import compare, summarize

CONFIGS = Path(__file__).parent / "pretrain" / "configs" / "sizes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, default="stimulus")
    parser.add_argument("--sizes", nargs="+", default=["nano", "light", "small"])
    parser.add_argument("--seeds", type=int, default=2, help="untrained encoders of each size")
    parser.add_argument("--runs", type=Path, help="folder of the runs")
    parser.add_argument("--train", action="store_true", help="finish the runs first")
    args = parser.parse_args()
    if args.train and args.runs is None:
        parser.error("--train needs --runs FOLDER")
    mne.set_log_level("error")
    sklearn.set_config(enable_metadata_routing=True)  # whole people in the folds of the reading
    task = TASKS[args.task](args.data)
    encoders = {}
    for size in args.sizes:
        if args.train:
            config = RunConfig.read(CONFIGS / f"{size}.yaml")
            pretrain(config, args.runs / size, None, workers=1)
        if args.runs is not None:
            encoders[f"{size}, pretrained"] = args.runs / size / "model"
        for seed in range(args.seeds):
            fresh = DAREPretrainer(size, max_epochs=0, random_state=seed)
            encoders[f"{size}, untrained {seed}"] = fresh.fit(task.epochs[:2])
    pipelines = {name: linear(encoder) for name, encoder in encoders.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # channels that are interpolated are meant
        table = compare(
            pipelines, task.epochs, task.y, groups=task.groups, cv=task.cv,
            scoring=metric_of(task), random_state=0, dataset=task.name, cache_dir=args.cells,
        )  # fmt: skip
    found = summarize(table)
    args.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(args.out / "sizes.csv", index=False, float_format="%.4f")
    print(found.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
