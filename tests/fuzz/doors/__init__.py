"""All doors, by name."""

from fuzz.core import Door
from fuzz.doors import arrays, commands, folders, results, server, studies, tables

DOORS: dict[str, Door] = {
    door.name: door for module in (tables, arrays, folders, results, studies, server, commands) for door in module.DOORS
}
