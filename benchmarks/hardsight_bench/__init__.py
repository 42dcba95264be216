"""Studies that rank hardsight against what else there is, each a module and a command of ``hardsight bench``."""
