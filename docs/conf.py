"""The site of docs/, built by Sphinx: ``make docs`` writes it to build/docs. Pages are Markdown, read by MyST."""

import importlib.metadata

project = "myhdl-fsa"
author = "The myhdl-fsa authors"
copyright = author
release = importlib.metadata.version("myhdl-fsa")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]

# Anchors as on the pages of a repository: specification.md#3-dataflow
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sphinx = False
html_show_copyright = False
# what is copied of a session is its commands
copybutton_prompt_text = "$ "

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# A reference that leads nowhere is an error; what lies outside of this project has no pages here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!myhdl_fsa\.).*")]
# `make docs-links` asks the network; anchors of pages that scripts draw cannot be found
linkcheck_anchors = False
linkcheck_timeout = 30
linkcheck_retries = 2
