#!/usr/bin/env python
"""The example's command line."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # A project of its own has `events` and `integrations` on its path by other means.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
