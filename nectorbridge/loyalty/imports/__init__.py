"""Customers and coins from a CSV file: read and stored at once, shown before anything is written, imported in the background."""
