"""Nectorbridge: loyalty activity, delivered to the engagement platforms a merchant already uses."""

__version__ = "0.1.0"
