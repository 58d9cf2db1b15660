"""Keys of finished cells: equal content gives an equal key in every process.

A pipeline is identified by its classes, their source and their parameters, and by what it keeps
through `sklearn.base.clone`; an encoder on disk by the content of its files.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from xxhash import xxh3_128_hexdigest

from .. import __version__
from ..base.cache import encoder_digest
from ..base.encoder import is_pretrainer
from ..base.input import SignalInputMixin
from ..signals.container import digest_epochs
from ..signals.objects import is_dataset, is_epochs, unwrap
from ..signals.readers import find_sources
from ..weights.load import SHIPPED_FOLDER

# parameters that change no result, of anybody's estimators, and of those of libraries
_NO_RESULT = {"verbose", "n_jobs"}
_KEPT = {"cache", "cache_mb", "memory"}
_WEIGHTS = {"encoder", "weights"}
_BLOCK = 256
_PLAIN = bool | int | float | complex | str | bytes | range | Path | np.generic | None
_DESCRIBED: list[Any] = []  # code under way, which may name itself or each other
_CARRIED = ("__defaults__", "__kwdefaults__", "__self__")  # of functions and bound methods
_PACKAGE, _STANDARD = Path(__file__).parents[1], Path(inspect.__file__).parent
_LIBRARIES = "scikit-learn", "numpy", "scipy", "mne", "pyriemann", "torch", "braindecode"


def digest(*parts: Any) -> str:
    """32 hexadecimal digits of the text of all parts."""
    return xxh3_128_hexdigest("\n".join(map(str, parts)).encode())


def versions() -> dict[str, str]:
    """Versions of the libraries that results come from."""
    return {"dare-sklearn": __version__, **{name: version(name) for name in _LIBRARIES}}


def _is_users(code: Any) -> bool:
    """Whether a class or function is neither of this library nor of an installed one."""
    try:
        file = Path(inspect.getfile(code))
    except (OSError, TypeError):  # compiled, or typed at a prompt or in a notebook
        return getattr(code, "__module__", None) == "__main__"
    known = file.is_relative_to(_PACKAGE) or file.is_relative_to(_STANDARD)
    return not known and not {"site-packages", "dist-packages"} & {*file.parts}


@cache
def own_code() -> str:
    """Hash of the library's files, which change between versions while one works on them."""
    return digest(*(file.read_bytes() for file in sorted(_PACKAGE.rglob("*.py"))))


def describe(value: Any) -> str:
    """A text that is equal for equal content."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = xxh3_128_hexdigest(np.ascontiguousarray(value).tobytes())
        return f"array({value.dtype.str}, {value.shape}, {content})"
    if isinstance(value, list | tuple | set | frozenset | dict):
        parts = map(describe, value.items() if isinstance(value, dict) else value)
        parts = parts if isinstance(value, list | tuple) else sorted(parts)
        return f"{type(value).__name__}[{', '.join(parts)}]"
    if isinstance(value, partial):
        return f"partial[{describe([value.func, value.args, value.keywords])}]"
    if inspect.iscode(value):
        return describe([value.co_code, value.co_consts, value.co_names])
    if isinstance(value, type) or inspect.isroutine(value):
        return _code(value)
    if hasattr(value, "_score_func"):  # a scorer of scikit-learn
        held = {k: v for k, v in vars(value).items() if k != "_metadata_request"}
        return f"{describe(type(value))}({describe(held)})"
    if hasattr(value, "get_params"):
        return _estimator(value)
    return _object(value)


def _object(value: Any) -> str:
    """Any other object: its content as pickles hold it, and the code that these only name."""
    held, kind = vars(value) if hasattr(value, "__dict__") else {}, describe(type(value))
    if (type(value).__module__ or "").startswith("dare_sklearn."):
        return f"{kind}({describe(held)})"
    code = [describe(v) for v in held.values() if inspect.isroutine(v) or isinstance(v, type)]
    return f"{kind}({joblib.hash(value)}{''.join(code)})"


def keeps_its_fit(estimator: Any) -> bool:
    """Whether a clone stays fitted, as those of `FrozenEstimator` and a pretrainer do."""
    plain = BaseEstimator.__sklearn_clone__, SignalInputMixin.__sklearn_clone__
    return getattr(type(estimator), "__sklearn_clone__", plain[0]) not in plain


def digest_each(X: Any) -> list[bytes]:
    """A hash of the values of every epoch of mne.Epochs, a list of them, or an array; else none."""
    if isinstance(X, list) and all(map(is_epochs, X)):
        return [digest for part in X for digest in digest_each(part)]
    if is_epochs(X):
        blocks = _blocks(len(X), lambda i: X.get_data(item=i, copy=False, verbose="error"))
        return [digest for block in blocks for digest in digest_epochs(block)]
    return list(digest_epochs(X)) if isinstance(X, np.ndarray) and X.ndim == 3 else []


def _code(code: Any) -> str:
    """Name of a class or function, its source and what it uses; of others' classes, the name."""
    name = f"{code.__module__}.{code.__qualname__}"
    if inspect.isbuiltin(code) or any(code is one for one in _DESCRIBED):
        return name
    _DESCRIBED.append(code)
    try:
        if isinstance(code, type):
            kinds = list(filter(_is_users, code.__mro__))
            if not kinds:
                return name
            carried = [[f for v in vars(kind).values() for f in _functions_of(v)] for kind in kinds]
        else:
            kinds, carried = [code], [getattr(code, part, None) for part in _CARRIED]
            with suppress(TypeError):  # compiled
                carried.append(inspect.getclosurevars(code).nonlocals)
            for function in filter(_is_users, _chain(code)):
                compiled = getattr(function, "__code__", None)
                there = getattr(function, "__globals__", {})
                carried.append(compiled)
                for known in sorted(_names_in(compiled) & there.keys()):
                    if not inspect.ismodule(there[known]):
                        with suppress(Exception):  # some values cannot be hashed
                            carried.append(f"{known}={describe(there[known])}")
        for source in kinds:
            try:
                carried.append(inspect.getsource(source))
            except (OSError, TypeError):  # compiled, or typed at a prompt
                is_class = isinstance(source, type)
                held = vars(source).values() if is_class else [getattr(source, "__code__", None)]
                carried.append([v for v in held if isinstance(v, _PLAIN) or inspect.iscode(v)])
        return f"{name}({digest(describe(carried))})"
    finally:
        _DESCRIBED.pop()


def _chain(code: Any) -> list[Any]:
    """A function or method, and those that it wraps."""
    found = [getattr(code, "__func__", code)]
    while (inner := getattr(found[-1], "__wrapped__", None)) is not None and inner not in found:
        found.append(inner)
    return found


def _functions_of(member: Any) -> list[Any]:
    """The functions behind a member of a class."""
    parts: list[Any] = [member]
    if isinstance(member, staticmethod | classmethod):
        parts = [member.__func__]
    elif isinstance(member, property):
        parts = [member.fget, member.fset, member.fdel]
    elif isinstance(member, cached_property):
        parts = [member.func]
    return list(filter(inspect.isfunction, parts))


def _names_in(code: Any) -> set[str]:
    """All names in compiled code, and in the comprehensions and functions inside it."""
    inner = filter(inspect.iscode, getattr(code, "co_consts", ()))
    return set(getattr(code, "co_names", ())).union(*map(_names_in, inner))


def _estimator(estimator: Any) -> str:
    no_result = _NO_RESULT if _is_users(type(estimator)) else _NO_RESULT | _KEPT
    params = [
        f"{name}={_weights(value) if name in _WEIGHTS else describe(value)}"
        for name, value in sorted(estimator.get_params(deep=False).items())
        if name not in no_result
    ]
    if (requests := getattr(estimator, "_metadata_request", None)) is not None:
        params.append(f"requests {requests}")
    if is_pretrainer(estimator):
        fitted = estimator._is_fitted_for_use()
        params.append(f"fitted {encoder_digest(estimator.encoder_).hex() if fitted else 'no'}")
    elif keeps_its_fit(estimator):
        params.append(f"fitted {joblib.hash(estimator)}")
    return f"{describe(type(estimator))}({', '.join(params)})"


def _weights(source: Any) -> str:
    """A name or path of an encoder, with a hash of the files behind it."""
    if not isinstance(source, str | Path):
        return describe(source)
    shipped = SHIPPED_FOLDER / str(source)
    path = shipped if shipped.exists() else Path(source)
    files = [path, *sorted(p for p in path.rglob("*") if p.suffix != ".md")]
    content = [xxh3_128_hexdigest(file.read_bytes()) for file in files if file.is_file()]
    return f"{str(source)!r} {content}"


def digest_signals(X: Any) -> str:
    """Hash of any input: values, and names, rate and tables where it has them."""
    if is_epochs(X):
        places = [channel["loc"] for channel in X.info["chs"]]
        kinds = [X.ch_names, X.get_channel_types(), X.info["bads"], places]
        layout = describe([*kinds, X.info["sfreq"], X.tmin, X.events])
        return digest(layout, joblib.hash(X.metadata), describe(digest_each(X)))
    if isinstance(X, list | tuple):
        return digest(len(X), *map(digest_signals, X))
    if not is_dataset(inner := unwrap(X)):
        return digest(describe(X))
    parts = []
    for source in find_sources(inner, continuous=False):
        where = {name: np.asarray(xyz) for name, xyz in source.positions.items()}
        parts.append(describe([source.ch_names, source.sfreq, source.ignored, where]))
        read = getattr(source.data, "read", source.data.__getitem__)
        parts += map(describe, _blocks(len(source.data), read))
    return digest(*parts)


def _blocks(n_epochs: int, read: Callable[[np.ndarray], Any]) -> Iterator[np.ndarray]:
    for start in range(0, n_epochs, _BLOCK):
        yield np.asarray(read(np.arange(start, min(start + _BLOCK, n_epochs))))
