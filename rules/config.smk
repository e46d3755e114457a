"""Config: the validated study with all defaults, as a file."""


rule write_run_config:
    output:
        f"{RESULTS}/run_config.yaml",
    log:
        f"{LOGS}/run_config.log",
    conda:
        "../envs/cpu.yaml"
    params:
        study=STUDY.model_dump(mode="json"),
    script:
        "../workflow_scripts/write_run_config.py"
