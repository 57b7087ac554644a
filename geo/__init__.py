"""Where things are on a campus: points, fixes, filters, geofences, maps, walking ways and indexes (a leaf library)."""
