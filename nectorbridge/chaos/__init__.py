"""The chaos suite: a real cluster under random kills, lost databases and providers that misbehave; then an audit."""
