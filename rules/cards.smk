"""Cards: model card and dataset card of each dataset, from its results and records."""


rule write_cards:
    input:
        metrics=rules.collect_metrics.output[0],
        run_config=rules.write_run_config.output[0],
        memorisation=rules.write_memorisation.output.csv,
        train=every_dataset(rules.prepare_texts.output.train),
        test=every_dataset(rules.prepare_texts.output.test),
        predictions=[rules.distil_student.output.predictions.format(**run._asdict()) for run in detailed_runs(STUDY)],
        shards=main_shards(rules.generate_shard.output[0]),
        logits=main_shards(rules.score_shard.output[0]),
        exports=every_export(rules.export_student.output.description),
        templates=package_files("analysis/cards/templates", "dataset.md", "model.md"),
    output:
        expand(
            f"{RESULTS}/{{dataset}}/cards/{{file}}",
            dataset=STUDY.datasets,
            file=("model/README.md", "dataset/README.md", "dataset/data/synthetic.parquet"),
        ),
    log:
        f"{LOGS}/cards.log",
    conda:
        "../envs/cpu.yaml"
    params:
        study=STUDY.model_dump(mode="json"),
        code=code("write_cards"),
    script:
        "../workflow_scripts/write_cards.py"
