"""The pictures in README and docs, taken of a demo installation by `manage.py screenshots`, so that they stay true."""
