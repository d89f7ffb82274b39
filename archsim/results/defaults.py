"""What a run uses when nothing else is asked for. Imports nothing, so that the help of a command can show it."""

DEFAULT_ARCH = "locoexnet-65nm"
ENGINES = ("tile", "segment")
"""Ways of advancing time; the first is the default."""
DEFAULT_SEED = 1
