"""The door for people and programs: HTTP over core. Never loads torch or libopenslide."""
