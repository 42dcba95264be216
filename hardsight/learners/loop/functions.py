"""The functions of a loop: how they are called, and a digest of their code."""

import dis
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from types import CodeType
from typing import Any

import numpy as np

from hardsight.errors import InputError

Train = Callable[[np.ndarray, np.ndarray, int], Any]
Predict = Callable[[Any, np.ndarray], Any]

_ROLES = ("weights", "seed")
_SIGNATURE = "train must take (ids, weights, seed), or (ids, seed) if it cannot weigh samples"
_SIMPLE = (bool, int, float, str, bytes, type(None))


def bind_train(train: Any) -> tuple[Train, bool]:
    """Return a function that calls ``train(ids, weights, seed)``, and whether it takes weights.

    Parameters that are called ``weights`` and ``seed`` get these, wherever they stand; others are taken in that order.

    Raises:
        InputError: it is not a function, or has other parameters.
    """
    if not callable(train):
        raise InputError(f"train must be a function, train(ids, weights, seed). Got {type(train).__name__}")
    parameters = _parameters(train)
    if parameters is None:
        return train, True
    roles = _assign_roles(parameters)
    return functools.partial(_call, train, parameters, roles), "weights" in roles.values()


def check_predict(predict: Any) -> Predict:
    """Return the function ``predict(model, ids)``.

    Raises:
        InputError: it is not a function, or has other parameters.
    """
    if not callable(predict):
        raise InputError(f"predict must be a function, predict(model, ids). Got {type(predict).__name__}")
    if _parameters(predict) is not None:
        try:
            inspect.signature(predict).bind(None, None)
        except TypeError:
            raise InputError(
                f"predict must take (model, ids). Got {function_name(predict)}{inspect.signature(predict)}"
            ) from None
    return predict  # type: ignore[no-any-return]


def function_name(function: Any) -> str:
    """Return how messages call a function.

    >>> function_name(functools.partial(sorted, reverse=True)), function_name(len)
    ('sorted', 'len')
    """
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _parameters(function: Any) -> list[inspect.Parameter] | None:
    """Return the parameters of a function; None if it does not say which it has, or takes any number."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    return None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else parameters


def _assign_roles(parameters: Sequence[inspect.Parameter]) -> dict[str, str]:
    """Return which parameters, other than the first one, get the weights and the seed.

    Raises:
        InputError: the parameters do not tell.
    """
    if not parameters:
        raise _wrong_signature(parameters)
    first, *rest = parameters
    if first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD) or first.name in _ROLES:
        raise _wrong_signature(parameters)
    roles = {p.name: p.name for p in rest if p.name in _ROLES}
    if any(p.kind is p.VAR_KEYWORD for p in rest):
        roles |= {role: role for role in _ROLES}
    others = [p.name for p in rest if p.name not in roles and p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [role for role in _ROLES if role not in roles]
    # One parameter of another name could be either, unless the other role has its parameter.
    if others and len(others) != len(missing):
        raise _wrong_signature(parameters)
    roles |= dict(zip(others, missing, strict=False))
    if "seed" not in roles.values():
        raise _wrong_signature(parameters)
    return roles


def _wrong_signature(parameters: Sequence[inspect.Parameter]) -> InputError:
    return InputError(f"{_SIGNATURE}; name them so. Got ({', '.join(map(str, parameters))})")


def _call(
    train: Any,
    parameters: Sequence[inspect.Parameter],
    roles: dict[str, str],
    ids: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> Any:
    values: dict[str, Any] = {"weights": weights, "seed": seed}
    positional: list[Any] = [ids]
    names = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
    positional += [values[roles[p.name]] for p in parameters[1:] if p.name in names & roles.keys()]
    named = {name: values[role] for name, role in roles.items() if name not in names}
    return train(*positional, **named)


def code_digest(*functions: Any) -> str:
    """Return a short fingerprint of the code of functions, so that a run is not resumed with changed ones.

    It covers the functions and classes of the same module that they name, default arguments, and plain values (numbers,
    texts) that they read from enclosing functions or the module. It is the same in every process with the same Python.
    """
    state = blake2b(digest_size=4)
    seen: set[int] = set()
    for function in functions:
        for part in _function_parts(function, seen):
            state.update(part.encode("utf-8", "surrogatepass"))
    return state.hexdigest()


def _function_parts(function: Any, seen: set[int]) -> Iterator[str]:
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, functools.partial):
        yield from _function_parts(function.func, seen)
        yield from map(_plain, (*function.args, *sorted(function.keywords.items())))
    elif inspect.ismethod(function):
        yield from _function_parts(function.__func__, seen)
        yield from _plain_attributes(function.__self__)
    elif inspect.isfunction(function):
        yield from _python_function_parts(function, seen)
    elif isinstance(function, type):
        yield function.__qualname__
        for name, member in sorted(vars(function).items()):
            if name.startswith("__") and not callable(member):
                continue  # line numbers, for example
            yield name
            yield from _function_parts(getattr(member, "__func__", member), seen) if callable(member) else [_plain(member)]
    elif inspect.isbuiltin(function) or not hasattr(type(function), "__call__"):  # noqa: B004 - looked up, not called
        yield str(getattr(function, "__qualname__", type(function).__qualname__))
    else:
        yield from _function_parts(type(function).__call__, seen)
        yield from _plain_attributes(function)


def _python_function_parts(function: Any, seen: set[int]) -> Iterator[str]:
    yield from _code_parts(function.__code__)
    yield from map(_plain, function.__defaults__ or ())
    yield from map(_plain, sorted((function.__kwdefaults__ or {}).items()))
    try:
        variables = inspect.getclosurevars(function)
    except ValueError:  # a variable of the enclosing function has no value yet
        return
    # What a function sets itself, such as a counter, is not part of its recipe.
    own = {step.argval for step in dis.get_instructions(function) if step.opname in ("STORE_GLOBAL", "STORE_DEREF")}
    for name, value in sorted({**variables.globals, **variables.nonlocals}.items()):
        if name in own:
            continue
        yield name
        same_module = getattr(value, "__module__", None) == function.__module__
        if same_module and (inspect.isfunction(value) or isinstance(value, type)):
            yield from _function_parts(value, seen)
        else:
            yield _plain(value)


def _code_parts(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        else:
            # The order of a set of texts changes from process to process.
            yield repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)


def _plain_attributes(instance: Any) -> Iterator[str]:
    yield from (_plain(item) for item in sorted(getattr(instance, "__dict__", {}).items()))


def _plain(value: Any) -> str:
    """Return a number or text, or a tuple of these, as text; the type of anything else, which may change as it is used."""
    if isinstance(value, tuple):
        return f"({','.join(map(_plain, value))})"
    return repr(value) if isinstance(value, _SIMPLE) else type(value).__qualname__
