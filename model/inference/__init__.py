"""The frozen network, dense maps, engines."""
