"""Generation-Distillation: from a few labelled texts to tables, figures and small classifiers.

Runs config.yaml, or the study named with --configfile, which then stands alone.
"""

from snakemake.utils import min_version

min_version("9.19")


include: "rules/common.smk"
include: "rules/models.smk"
include: "rules/training.smk"
include: "rules/requests.smk"
include: "rules/config.smk"
include: "rules/texts.smk"
include: "rules/pocket.smk"
include: "rules/generator.smk"
include: "rules/synthetic.smk"
include: "rules/teacher.smk"
include: "rules/logits.smk"
include: "rules/quality.smk"
include: "rules/students.smk"
include: "rules/baselines.smk"
include: "rules/evaluation.smk"
include: "rules/costs.smk"
include: "rules/export.smk"
include: "rules/report.smk"
include: "rules/cards.smk"
include: "rules/tracking.smk"
include: "rules/local.smk"


report: "docs/report.rst"


rule all:
    default_target: True
    input:
        rules.write_run_config.output,
        rules.collect_metrics.output,
        report_files,
        rules.write_report.output,
        rules.track_runs.output if STUDY.tracking.mlflow else [],
