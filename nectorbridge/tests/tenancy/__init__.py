"""The walk through the whole admin with another merchant's ids: its rows, its addresses, its forms."""
