"""Benchmarks: declarative suites, their runs, and a report of what they found."""

from .checks import SuiteError
from .report import write_report
from .run import Options, Results, run_suite
from .sources import Context
from .suite import read_map, read_suite, suite_names

__all__ = [
    "Context",
    "Options",
    "Results",
    "SuiteError",
    "read_map",
    "read_suite",
    "run_suite",
    "suite_names",
    "write_report",
]
