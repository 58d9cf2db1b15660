"""The site: ``make docs``, offline, warnings are errors."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent)]
# examples are timed as on a quiet laptop, and leave the machine's other cores alone
os.environ.setdefault("OMP_NUM_THREADS", "2")

from dare_sklearn import __version__ as release  # noqa: E402

project = "dare_sklearn"
author = "The dare_sklearn developers"
copyright = "The dare_sklearn developers, BSD-3-Clause"
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "reference",  # docs/_ext: members that are ours, and the help texts of the command line
]
exclude_patterns = ["_build", "gallery/*.py.md5", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
default_role = "py:obj"  # `name` in docstrings: a link where there is a page, code elsewhere
suppress_warnings = ["config.cache"]
myst_heading_anchors = 3
smartquotes = False  # default="nano" keeps its quotes

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say more
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the template lists them

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figures.scrape",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib|dare_sklearn\.viz",
    "remove_config_comments": True,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "doc_module": ("dare_sklearn",),
    "backreferences_dir": "api/examples",
    "plot_gallery": "True",
    "abort_on_example_error": False,  # all failures in one build; -W makes them errors
}

# the gallery and the command line have none: they need the width
WITH_CONTENTS = ["index", "guide/**", "architecture", "contributing", "changelog", "model_cards"]
WITH_CONTENTS += ["api/index", "api/building_blocks", "api/generated/**"]
html_theme = "pydata_sphinx_theme"
html_title = "dare_sklearn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": []}
html_theme_options = {
    "show_prev_next": True,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {
        "gallery/**": [],
        "api/command_line": [],
        **{page: ["page-toc"] for page in WITH_CONTENTS},
    },
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
