"""Writes docs/detector.md from the answers and probes in docs/evidence: `page` assembles, the others are sections."""
