"""Help in sections: commands by what they are for, options of a long command by what they are about."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click

# Commands in the order of use; those of other packages that are not named here come last.
COMMANDS: Mapping[str, Sequence[str]] = {
    "Start": ("demo", "doctor", "help"),
    "Measure": ("measure", "annotators", "preferences", "losses", "report"),
    "Decide": ("review", "serve", "apply", "undo", "export", "decisions"),
    "Train": ("weigh", "explain"),
    "Catalogues": ("learners", "measures", "schemes"),
    "Research": ("bench", "theory"),
}
# Options by the name of their parameter.
OPTIONS: Mapping[str, Sequence[str]] = {
    "Columns": ("prompt", "chosen", "rejected", "view", "loss_column", "sample", "part", "kind", "item", "annotator",
                "label", "labels", "label_separator", "id_", "group", "text", "drop", "weights", "witness", "counts"),
    "Reading": ("data", "task", "unlabelled", "merge_spellings", "separator", "header", "encoding", "sheet", "split",
                "skip_broken", "tag_column"),
    "Weights to explain": ("difficulty", "weights_file", "schemes", "assignments", "clip"),
    "Models": ("features", "learner", "embedding", "loss", "pilot", "calibrate", "refine", "adjusted"),
    "How many models": ("reliability", "budget", "folds", "repeats", "splits", "members", "ratio"),
    "What to compute": ("effect", "dynamics", "target"),
    "Copies": ("duplicates", "against"),
    "Where models are trained": ("jobs", "backend", "address"),
    "Results": ("out", "output", "resume", "csv", "hardest", "ask", "top", "tool", "as_json", "quiet", "seed", "port"),
    "Repeating a run": ("settings", "save_settings"),
}  # fmt: skip


def in_sections(
    names: Iterable[str], sections: Mapping[str, Sequence[str]], rest: str = "Other"
) -> list[tuple[str, list[str]]]:
    """Return names by section, in the order of the sections; unknown ones come last.

    >>> in_sections(["label", "out", "mine"], OPTIONS)
    [('Columns', ['label']), ('Results', ['out']), ('Other', ['mine'])]
    """
    left = list(names)
    by_section = [(title, [name for name in members if name in left]) for title, members in sections.items()]
    sorted_names = {name for _, members in by_section for name in members}
    by_section.append((rest, [name for name in left if name not in sorted_names]))
    return [(title, members) for title, members in by_section if members]


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a question that names what is spelled alike, or an empty string.

    >>> suggest("mesure", ["measure", "weigh"]), suggest("xyz", ["measure"])
    (" Did you mean 'measure'?", '')
    """
    near = get_close_matches(name, list(known), 3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


class SectionedCommand(click.Command):
    """A command whose many options are listed in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each section under its title."""
        records = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None and parameter.name is not None:
                records[parameter.name] = record
        for title, names in in_sections(records, OPTIONS):
            with formatter.section(title):
                formatter.write_dl([records[name] for name in names])


class Choice(click.Choice):
    """A choice between words that suggests one for a typing error."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message}{suggest(str(value), map(str, self.choices))}", param, ctx)
