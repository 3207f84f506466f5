"""The command line: one verb per public function, no logic of its own.

Data goes to stdout, everything else to stderr. Exit codes: 0 all well, 1 failure, 2 wrong usage, 3 some tasks missing,
4 key or credits, 130 stopped by Ctrl-C.

``shell`` is what the commands share, every other module holds those of one subject; what is heavy is loaded when a
command runs.
"""

from importlib import import_module

from kie_notes.cli.shell import app, main

# In the order in which --help lists them.
_SUBJECTS = "trying", "ordering", "fetching", "showing", "reporting", "midi_files", "exporting", "applying", "keeping"
for _subject in _SUBJECTS:
    import_module(f"{__name__}.{_subject}")

__all__ = ["app", "main"]
