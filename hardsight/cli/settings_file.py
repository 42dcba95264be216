"""Settings of a run in a TOML file: read before the options of a command, and written after it.

A setting has the name of its option. Paths are relative to the folder of the file.
"""

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hardsight.cli.options import TextOrFile
from hardsight.cli.sections import SectionedCommand
from hardsight.errors import Faults, InputError

# Options about one run, not about how it is repeated.
_NOT_SAVED = ("resume",)
_SUFFIX = ".toml"


class RepeatableCommand(SectionedCommand):
    """A command whose options can be read from a settings file, and saved in one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--settings"], type=click.Path(path_type=Path), is_eager=True, expose_value=False, metavar="FILE",
                         callback=_use_settings,
                         help="Take options from this TOML file; options of the command line come first."),
            click.Option(["--save-settings"], type=click.Path(path_type=Path), metavar="FILE", callback=_check_target,
                         help="Write the options of this run into this TOML file, to run it again with --settings."),
        ]  # fmt: skip

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; if it succeeds, write the settings."""
        target = ctx.params.pop("save_settings")
        text = "" if target is None else _format_settings(ctx, target)
        value = super().invoke(ctx)
        if target is not None:
            # Not for the help.
            from hardsight.io.atomic import atomic_write

            with atomic_write(target) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="")
            click.echo(f"wrote {target}", err=True)
        return value


def _parameters(command: click.Command) -> dict[str, click.Parameter]:
    """Return the parameters that a settings file can hold, by the names that they have there.

    An option has one name per long spelling, the first of which is written.
    """
    by_name: dict[str, click.Parameter] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            by_name[str(parameter.name)] = parameter
        elif parameter.name not in ("settings", "save_settings"):
            by_name |= {spelling[2:]: parameter for spelling in parameter.opts if spelling.startswith("--")}
    return by_name


def _use_settings(ctx: click.Context, _option: click.Parameter, place: Path | None) -> None:
    """Make the settings of a file the defaults of the command.

    Raises:
        InputError: the file cannot be read, or settings are unknown or of a wrong type; all of them are reported at once.
    """
    if place is None or ctx.resilient_parsing:
        return
    # It loads numpy, which takes longer than the help.
    from hardsight.validation import suggest_name

    parameters, faults = _parameters(ctx.command), Faults()
    values: dict[str, Any] = {}
    for name, value in _read_toml(place).items():
        with faults.collect():
            if name not in parameters:
                hint = suggest_name(name, parameters) or f": hardsight help {ctx.info_name} lists the options"
                raise InputError(f"{place}: unknown setting {name!r}{hint}")
            parameter = parameters[name]
            if parameter.name in values:
                raise InputError(f"{place}: {name} is set twice, by two names of one option: remove one")
            values[str(parameter.name)] = _check_value(ctx, place, name, parameter, value)
    faults.raise_all()
    ctx.default_map = values


def _read_toml(place: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(place.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read the settings file {place}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{place} is not a TOML file ({error}): write one with --save-settings") from None


def _check_value(ctx: click.Context, place: Path, name: str, parameter: click.Parameter, value: Any) -> Any:
    """Return a setting as the command line would pass it; paths start from the folder of the file."""
    kind, is_right = _expected(parameter)
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) != _is_multiple(parameter) or not all(map(is_right, values)):
        raise InputError(f"{place}: {name} must be {kind}. Got {json.dumps(value, default=str, ensure_ascii=False)}")
    values = [_from_folder(place.parent, parameter, each) for each in values]
    resolved = values if _is_multiple(parameter) else values[0]
    try:
        parameter.type_cast_value(ctx, resolved)
    except click.BadParameter as error:
        raise InputError(f"{place}: {name}: {error.message}") from None
    return resolved


def _is_multiple(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.multiple


def _expected(parameter: click.Parameter) -> tuple[str, Callable[[Any], bool]]:
    """Return what a setting must be, in words, and a test of one value of it."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return "true or false", lambda value: isinstance(value, bool)
    if isinstance(parameter.type, click.types.IntParamType):
        return "an integer, such as 2", lambda value: isinstance(value, int) and not isinstance(value, bool)
    if isinstance(parameter.type, click.types.FloatParamType):
        return "a number, such as 0.5", lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    kind = 'a list of texts, such as ["a", "b"]' if _is_multiple(parameter) else 'text in quotes, such as "a"'
    return kind, lambda value: isinstance(value, str)


def _from_folder(folder: Path, parameter: click.Parameter, value: Any) -> Any:
    """Return a setting; if it is a path, it starts from a folder."""
    return str(folder / value) if _is_path(parameter, value, folder) else value


def _is_path(parameter: click.Parameter, value: Any, folder: Path) -> bool:
    if isinstance(parameter.type, TextOrFile):
        return parameter.type.names_file(value, folder)
    return isinstance(parameter.type, click.Path)


def _check_target(ctx: click.Context, _option: click.Parameter, target: Path | None) -> Path | None:
    """Return where settings are to be written.

    Raises:
        InputError: the name does not end in .toml, so that it could be a file of data, or its folder is missing, or it is
            a folder.
    """
    if target is None or ctx.resilient_parsing:
        return None
    if target.suffix.lower() != _SUFFIX:
        raise InputError(f"--save-settings must end in {_SUFFIX}. Got {target}")
    if target.is_dir():
        raise InputError(f"cannot write {target}, which is a folder: choose another name")
    if not target.parent.is_dir():
        raise InputError(f"cannot write {target}: there is no folder {target.parent}: create it first")
    return target


def _format_settings(ctx: click.Context, target: Path) -> str:
    """Return the text of a settings file: the options that came from the command line or from a settings file.

    Raises:
        InputError: a path is not UTF-8, as TOML must be.
    """
    lines = [f"# hardsight {ctx.info_name} --settings {target.name}", ""]
    written = set(_NOT_SAVED)
    for name, parameter in _parameters(ctx.command).items():
        key = str(parameter.name)
        if key not in written and ctx.get_parameter_source(key) in (
            ParameterSource.COMMANDLINE,
            ParameterSource.DEFAULT_MAP,
        ):
            lines.append(f"{name} = {_format_value(target.parent, parameter, ctx.params[key])}")
        written.add(key)
    text = "\n".join([*lines, ""])
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("--save-settings cannot save a path that is not UTF-8: rename the file or the folder") from None
    return text


def _format_value(folder: Path, parameter: click.Parameter, value: Any) -> str:
    """Return a value in TOML; relative paths start from a folder."""
    if _is_multiple(parameter):
        return f"[{', '.join(_format_scalar(_to_folder(folder, parameter, each)) for each in value)}]"
    # Options that a callback splits at commas.
    scalar = ",".join(value) if isinstance(value, tuple) else value
    return _format_scalar(_to_folder(folder, parameter, scalar))


def _to_folder(folder: Path, parameter: click.Parameter, value: Any) -> Any:
    """Return a value; if it is a relative path, it becomes one from a folder."""
    if not _is_path(parameter, value, Path()):
        return value
    return str(value) if Path(value).is_absolute() else os.path.relpath(value, folder)


def _format_scalar(value: Any) -> str:
    # Strings and booleans of JSON are those of TOML, but for one control character.
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
