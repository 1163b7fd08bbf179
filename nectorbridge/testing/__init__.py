"""The project's test kit: a pytest plugin, and what journeys need to start real parts."""
