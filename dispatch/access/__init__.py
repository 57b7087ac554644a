"""Who may do what: principals, permissions, signed tokens, passwords, sign-in codes."""
