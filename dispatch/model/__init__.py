"""Pure rules of the campus errand business: no I/O, no clock, no luck of its own."""
