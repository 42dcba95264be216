"""All doors, by name."""

from fuzz.target import Door
from fuzz.targets import arrays, commands, folders, results, server, study_files, tables

DOORS: dict[str, Door] = {
    door.name: door
    for module in (tables, arrays, folders, results, study_files, server, commands)
    for door in module.DOORS
}
