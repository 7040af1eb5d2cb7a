"""What all models' training shares: the loop, exact resume, device, precision, progress, saved weights."""
