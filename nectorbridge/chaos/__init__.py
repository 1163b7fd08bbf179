"""The chaos suite: a real cluster under random kills, lost databases and a provider that misbehaves; then the books are audited."""
