"""Who we can talk to, and how: merchants, their staff, their connections to engagement platforms."""

__version__ = "0.1.0"
