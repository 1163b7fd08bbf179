"""How dates and times are written: the day first, and a clock of 24 hours, on every page alike."""
