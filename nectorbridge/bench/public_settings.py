"""The settings of a benchmark's installation, with one view more: the bare one that ours are compared with."""

from __future__ import annotations

from nectorbridge.bench.settings import *  # noqa: F403 - the same settings are what is measured

ROOT_URLCONF = "nectorbridge.bench.public_urls"
