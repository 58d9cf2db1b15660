"""Public data sets: MOABB's own paradigms and evaluations, with our pipelines in them."""

import logging
from typing import Any, NamedTuple

from ._options import UsageError
from ._pipelines import build

EVALUATIONS = ("within-session", "cross-session", "cross-subject")  # MOABB's classes


class Protocol(NamedTuple):
    """How a public data set is cut and tested, as the guide to the report lists it."""

    dataset: str
    paradigm: str
    evaluation: str
    settings: dict[str, Any]
    n_splits: int | None = None  # of the evaluation; None is MOABB's number


_HANDS = {"fmin": 0.5, "fmax": 40, "tmin": 0, "tmax": 4}
_FLICKER = {"fmin": 1, "fmax": 45, "tmin": 0, "tmax": 4}
_P300 = {"fmin": 1, "fmax": 24, "tmin": 0, "tmax": 1, "resample": 128}
_LOAD = {"fmin": 1, "fmax": 35, "tmin": 0, "tmax": 2, "events": ["easy", "diff"], "resample": 128}
_WITHIN, _SESSION, _SUBJECT = EVALUATIONS
PROTOCOLS = {
    "BNCI2014-001": Protocol("BNCI2014_001", "MotorImagery", _SUBJECT, {**_HANDS, "n_classes": 4}),
    "PhysionetMI": Protocol("PhysionetMI", "LeftRightImagery", _SUBJECT, {**_HANDS, "tmax": 3}, 10),
    "Lee2019": Protocol("Lee2019_MI", "LeftRightImagery", _SESSION, {**_HANDS, "resample": 256}),
    "BI2014a": Protocol("BI2014a", "P300", _WITHIN, _P300),
    "Nakanishi2015": Protocol("Nakanishi2015", "SSVEP", _WITHIN, {**_FLICKER, "n_classes": 12}),
    "Wang2016": Protocol("Wang2016", "SSVEP", _WITHIN, {**_FLICKER, "n_classes": 40}),
    "Schirrmeister2017": Protocol("Schirrmeister2017", "MotorImagery", _WITHIN,
                                  {**_HANDS, "n_classes": 4, "resample": 250}),
    "Hinss2021": Protocol("Hinss2021", "RestingStateToP300Adapter", _SESSION, _LOAD),
}  # fmt: skip


def find(name: str, how: str | None) -> tuple[Any, Any, Any, str]:
    """A data set, a paradigm, an evaluation class and its settings."""
    try:
        import moabb.datasets
        import moabb.datasets.fake
        from moabb import evaluations, paradigms
    except ImportError as error:
        raise ImportError("--moabb needs MOABB: pip install moabb") from error
    wanted = PROTOCOLS[name].dataset if name in PROTOCOLS else name
    make = getattr(moabb.datasets, wanted, None) or getattr(moabb.datasets.fake, wanted, None)
    if not isinstance(make, type) or not issubclass(make, moabb.datasets.base.BaseDataset):
        known = f"Protocols: {', '.join(PROTOCOLS)}; other names are classes of moabb.datasets"
        raise UsageError(f"--moabb: MOABB has no data set {name!r}. {known}.")
    dataset = make()
    protocol = PROTOCOLS.get(name) or _default(name, dataset)
    paradigm = getattr(paradigms, protocol.paradigm)(**protocol.settings)
    words = (how or protocol.evaluation).title().replace("-", "")
    evaluation = getattr(evaluations, f"{words}Evaluation")
    splits = {} if how or protocol.n_splits is None else {"n_splits": protocol.n_splits}
    return dataset, paradigm, evaluation, splits


def _default(name: str, dataset: Any) -> Protocol:
    """MOABB's own settings for a data set without a protocol here."""
    events = list(dataset.event_id)
    both = {"events": events, "n_classes": len(events)}
    known = {
        "imagery": ("MotorImagery", both),
        "p300": ("P300", {}),
        "ssvep": ("SSVEP", both),
        "cvep": ("CVEP", both),
        "rstate": ("RestingStateToP300Adapter", {"events": events[:2]}),
    }
    if dataset.paradigm not in known:
        raise UsageError(f"--moabb: no paradigm for {name} ({dataset.paradigm}).")
    paradigm, settings = known[dataset.paradigm]
    return Protocol(name, paradigm, "within-session", settings)


def evaluate(name: str, found: tuple, names: list[str], args: Any, suffix: str) -> Any:
    """Scores of one data set in the columns of `compare`; finished ones are not computed again."""
    import mne

    dataset, paradigm, evaluation, settings = found
    logging.getLogger("moabb").setLevel(logging.ERROR)
    if args.subjects is not None:
        dataset.subject_list = dataset.subject_list[: args.subjects]
    with mne.use_log_level("error"):
        scores = evaluation(
            paradigm=paradigm, datasets=[dataset], hdf5_path=str(args.out / "moabb"), suffix=suffix,
            random_state=args.seed, n_jobs=args.jobs, return_epochs=True,
            additional_columns=["n_samples_test"], **settings,
        ).process(_by_people(build(names, args.encoder, args.device)))  # fmt: skip
    table = _as_table(scores, name, paradigm.scoring)
    table.attrs["how"] = f"{type(paradigm).__name__} and {evaluation.__name__} of MOABB"
    return table


def _by_people(pipelines: dict[str, Any]) -> dict[str, Any]:
    """Our classifiers in pipelines that bring them what MOABB calls subjects as groups."""
    import sklearn
    from sklearn.pipeline import make_pipeline

    from ..estimators import DAREClassifier

    with sklearn.config_context(enable_metadata_routing=True):
        for name, model in pipelines.items():
            if isinstance(model, DAREClassifier):
                pipelines[name] = make_pipeline(model.set_fit_request(groups="subjects"))
    return pipelines


def _as_table(found: Any, name: str, metric: str) -> Any:
    import pandas as pd

    order = ["pipeline", "subject", "session"]
    found = found.assign(subject=found["subject"].astype(str)).sort_values(order, kind="stable")
    columns = {
        "dataset": name, "pipeline": found["pipeline"],
        "fold": found.groupby("pipeline").cumcount(), "subject": found["subject"], "n_subjects": 1,
        "n_train": found["samples"].astype(int),
        "n_test": found["n_samples_test"].round().astype(int),
        metric: found["score"].astype(float), "fit_seconds": found["time"].astype(float),
        "session": found["session"].astype(str),
    }  # fmt: skip
    return pd.DataFrame(columns)
