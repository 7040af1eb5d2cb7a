"""Annotation files in: readers by plugin, and the checks that stop a run before it trains on wrong labels."""

from prolepsis.video.annotations.base import SPLITS, Annotation, AnnotationReader, StatesDurations, video_id
from prolepsis.video.annotations.checks import Checked, Leniency, check_annotations, differing_durations

__all__ = [
    "SPLITS",
    "Annotation",
    "AnnotationReader",
    "Checked",
    "Leniency",
    "StatesDurations",
    "check_annotations",
    "differing_durations",
    "video_id",
]
