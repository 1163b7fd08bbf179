"""A second factor for logging in: codes of an authenticator app, which a merchant can require of its people."""
