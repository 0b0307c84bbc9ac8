"""Formats: parsers of TIFF directories and DICOM headers."""
