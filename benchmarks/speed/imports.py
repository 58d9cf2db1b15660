"""Time of ``import dare_sklearn`` against ``import sklearn``, each in fresh processes.

python -m benchmarks.speed.imports
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.speed.measure import arguments, interleave, report, row


def main() -> None:
    args = arguments(__doc__).parse_args()

    def load(name: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {name}"], check=True)

    names = ("sklearn", "dare_sklearn")
    seconds = interleave({name: lambda name=name: load(name) for name in names}, args.runs)
    line = row("import", seconds, slow="sklearn", fast="dare_sklearn")
    report([line], "imports", args.out)


if __name__ == "__main__":
    main()
