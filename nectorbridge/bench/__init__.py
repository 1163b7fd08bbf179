"""The benchmarks behind `manage.py bench`: ratios measured in one run, in a throw-away installation."""
