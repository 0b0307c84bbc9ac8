"""The domain: slides, analyses, work and their storage. It imports neither HTTP nor torch."""
