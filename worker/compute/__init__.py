"""From a slide's regions to cell values and findings."""
