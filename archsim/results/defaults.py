"""What a run uses when nothing else is asked for. Imports nothing, so that the help of a command can show it."""

DEFAULT_ARCH = "locoexnet-65nm"
ENGINES = ("tile", "segment")
"""Ways of advancing time; the first is the default."""
COMPARE_ENGINE = "segment"
"""Of ``compare``, which runs the same images many times; where it lacks the hardware, the other one runs."""
DEFAULT_SEED = 1
