"""The domain: slides, analyses, work and their storage. Knows no HTTP, and never loads torch."""
