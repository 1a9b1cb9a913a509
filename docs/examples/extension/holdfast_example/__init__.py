"""An attack (`block_search`) and a task (`shouting`) for Holdfast, announced by entry points."""
