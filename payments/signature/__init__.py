"""``verify-signature``: whether a signature proves a message, and if not, what exactly is wrong."""
