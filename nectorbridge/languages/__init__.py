"""The languages that the product speaks: what is marked for translation, and the catalogs of it."""
