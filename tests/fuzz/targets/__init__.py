"""All targets, by name."""

from fuzz.target import Target
from fuzz.targets import arrays, commands, folders, results, server, study_files, tables

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (tables, arrays, folders, results, study_files, server, commands)
    for target in module.TARGETS
}
