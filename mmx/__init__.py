"""mmx: match pictures and words."""

__version__ = "0.1.0"
