"""The study: one validated config made of every stage's settings."""

from gendist.config.load import load_study, study_from
from gendist.config.study import Study

__all__ = ["Study", "load_study", "study_from"]
