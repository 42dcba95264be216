"""Commands run in this process, as the command line runs them."""

from typing import Any

from click.testing import CliRunner, Result

from hardsight.cli import main


def run(*arguments: Any, **settings: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **settings)


def error_line(*arguments: Any, status: int = 1) -> str:
    """The last line of a command that fails; the only one unless it explains the usage."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    lines = result.output.strip().splitlines()
    assert lines[-1].startswith("Error: "), result.output
    if status == 1:
        assert len(lines) == 1, result.output
    return lines[-1]
