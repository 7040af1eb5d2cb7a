"""Annotation files in: readers by plugin, and the checks that stop a run before it trains on wrong labels."""

from prolepsis.video.annotations.base import SPLITS, Annotation, AnnotationReader, video_id
from prolepsis.video.annotations.checks import Checked, Leniency, check_annotations

__all__ = ["SPLITS", "Annotation", "AnnotationReader", "Checked", "Leniency", "check_annotations", "video_id"]
