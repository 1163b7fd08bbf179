"""The door through which Nector's own webhooks write the ledger: stored first, worked on later, in order."""
