"""Sphinx: MyST sources, furo's looks, warnings as errors (`nox -s docs`)."""

from __future__ import annotations

import logging
from importlib.metadata import version as installed_version

# A chapter that nobody has written yet is no mistake of the others. Sphinx gives this warning no type, so
# `suppress_warnings` cannot name it.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", None) != "empty_glob"
)

project = "pytest-durable"
author = "The pytest-durable contributors"
project_copyright = author
release = installed_version(project)
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"pytest-durable {release}"
