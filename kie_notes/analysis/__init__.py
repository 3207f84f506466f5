"""Questions that a notes table can answer, one module per musical subject, one function per quantity."""
