"""The colours of pictures and pages, so that an instrument looks alike in both.

They are those of Petroff, "Accessible Color Sequences for Data Visualization" (2021, arXiv:2107.02270), which can be
told apart with the common kinds of colour blindness too, less its grey: drums have one, between white and black.
"""

from typing import Final

COLOURS: Final = ("#1845fb", "#ff5e02", "#c91f16", "#c849a9", "#adad7d", "#86c8dd", "#578dff")
GREY: Final = "#808080"
