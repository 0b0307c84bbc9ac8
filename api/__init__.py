"""The HTTP door over core, for people and programs. It never loads torch or libopenslide."""
