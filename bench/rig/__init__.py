"""Support for measurements: a service, synthetic slides, an HTTP client, and the limits of the machine."""
