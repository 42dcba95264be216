"""All targets, by name."""

from fuzz.target import Target
from fuzz.targets import arrays, commands, folders, formats, results, server, study_files, tables

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (tables, formats, arrays, folders, results, study_files, server, commands)
    for target in module.TARGETS
}
