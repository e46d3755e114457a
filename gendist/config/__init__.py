"""The study: one validated config with the settings of every stage."""

from gendist.config.study import Study
from gendist.config.study_loader import load_study, study_from

__all__ = ["Study", "load_study", "study_from"]
