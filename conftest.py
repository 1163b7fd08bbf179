"""Loads the project's test kit for every room."""

pytest_plugins = ["nectorbridge.testing.plugin"]
