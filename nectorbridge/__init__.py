"""Nectorbridge: loyalty activity, delivered to the engagement platforms a merchant already uses."""

from integrations import __version__

__all__ = ["__version__"]
