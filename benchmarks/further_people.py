"""Put the people of the full corpus whom no choice has seen in place of those of the tasks.

Run: python -m benchmarks.further_people --data FOLDER --corpus FOLDER --out FOLDER

--data holds the folders that benchmarks.tasks names, --corpus what shared/tools/build_corpus.py
built. --out gets links to their recordings, for ``--data`` of benchmarks.evidence: a set of the
corpus with the people who are not in --data, a set whose people are all in it, and one that the
corpus lacks, as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd


def link(data: Path, corpus: Path, out: Path) -> None:
    """One folder for every set."""
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        new = out / folder.name
        people, known = corpus / folder.name / "people.csv", folder / "people.csv"
        table = pd.read_csv(people, dtype=str) if people.exists() and known.exists() else None
        if table is not None:
            table = table[~table["subject"].isin(pd.read_csv(known, dtype=str)["subject"])]
        if table is None or table.empty:
            new.symlink_to(folder.resolve(), target_is_directory=True)
            continue
        new.mkdir()
        table.to_csv(new / "people.csv", index=False)
        for file in table["file"]:
            (new / file).symlink_to((people.parent / file).resolve())
        print(f"{folder.name}: {table['subject'].nunique()} people")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--data", "--corpus", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    link(args.data, args.corpus, args.out)


if __name__ == "__main__":
    main()
