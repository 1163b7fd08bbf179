"""Django's own formats for Hindi, but for the day first, a clock of 24 hours, and numbers grouped as lakh and crore."""

DATE_FORMAT = SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "j M Y, H:i"
NUMBER_GROUPING = (3, 2, 0)
