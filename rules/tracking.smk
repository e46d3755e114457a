"""Tracking: from the tidy table to MLflow runs, if the config enables it."""


rule track_runs:
    input:
        metrics=rules.collect_metrics.output[0],
        run_config=rules.write_run_config.output[0],
    output:
        f"{RESULTS}/tracking.json",
    log:
        f"{LOGS}/tracking.log",
    conda:
        "../envs/cpu.yaml"
    params:
        tracking=settings(STUDY.tracking),
        code=code("track_runs"),
    script:
        "../workflow_scripts/track_runs.py"
