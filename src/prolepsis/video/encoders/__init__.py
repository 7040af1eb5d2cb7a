"""Frame encoders: what turns frames into the vectors that the detectors read."""
