"""Settings of the documentation, which `make docs` builds into site/.

The source directory is the root of the repository, so that a link leads to the same page there and on the site.
"""

import os
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import hardsight  # noqa: E402

project = "hardsight"
release = hardsight.__version__
html_title = "hardsight"
language = "en"
# Dashes alone: quotes stay as they are written.
smartquotes_action = "D"

root_doc = "docs/index"
include_patterns = ["docs/**.md", "benchmarks/*.md", "CHANGELOG.md", "CONTRIBUTING.md"]
# Folders that the search for pages need not enter.
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ("docs", "benchmarks")]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "website.commands",
    "website.docstrings",
    "website.formulas",
    "website.registries",
]

# Pages: Markdown as the repository shows it.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Reference: docstrings in Google style.
autosummary_generate = False
# Libraries of extras, whose classes ours derive from, need not be installed.
autodoc_mock_imports = [
    name for name in ("accelerate", "pytorch_lightning", "skorch", "transformers") if find_spec(name) is None
]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "code"

# A name that leads nowhere fails the build.
nitpicky = True
nitpick_ignore_regex = [
    # Other libraries: their own documentation would be asked for over the network (see DOCS_INTERSPHINX).
    (
        r"py:.*",
        r"(altair|collections|contextlib|dataclasses|datasets|jaxtyping|np|numpy|pandas|pathlib|pd|pytorch_lightning|ray)(\..*)?",
    ),
    (r"py:.*", r"(scipy|sklearn|skorch|torch|transformers|typing)(\..*)?|ndarray|Tensor|optional|optuna\.Trial"),
    # Names that exist for type checkers only.
    (r"py:class", r"Parts|hardsight\.weights\.scheme\.Function"),
    # Axes of arrays, which stand in quotes: Float[Tensor, "sample class"].
    (r"py:.*", r"'[a-z0-9 *.]+'"),
]
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

html_theme = "furo"
pygments_dark_style = "github-dark"
html_favicon = "_static/favicon.svg"
# Formulas need a font with their measures in it, which many machines lack; ziamath brings one (SIL Open Font License).
html_static_path = ["_static", str(files("ziamath.fonts") / "STIXTwoMath-Regular.ttf")]
html_math_renderer = "mathml"
html_css_files = ["hardsight.css"]
html_extra_path = ["redirect"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
