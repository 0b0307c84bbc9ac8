"""What a network does on slides of known lesions that are composed of patches: detection, slide scores, thresholds."""
