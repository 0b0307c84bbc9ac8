"""`make bench`: the service's stages beside what everyone writes and what peers do, on the same work in one run."""
