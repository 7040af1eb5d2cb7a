"""The plugins of the group `prolepsis.action_detectors`; `base` says what one is."""
