"""The providers' side of each payment protocol, for rehearsals: signed, with books of its own, and faults on demand."""
