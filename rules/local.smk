"""Local rules: on a cluster, these run on the machine of Snakemake itself.

They take seconds, or need the network or the user's files, which cluster nodes often cannot access.
"""


localrules:
    write_run_config,
    prepare_texts,
    prepare_unlabelled,
    prepare_general,
    unpack_pocket,
    fetch_bpemb,
    evaluate_teacher,
    collect_metrics,
    collect_costs,
    choose_student,
    write_classifier_page,
    write_quality,
    write_table1,
    write_table2,
    write_gains,
    write_costs,
    draw_quality,
    draw_figure2,
    draw_sampling,
    draw_tradeoff,
    draw_rows,
    draw_details,
    write_report,
    write_cards,
    track_runs,


if GIVEN:

    localrules:
        read_given,


if PROMPTED:

    localrules:
        prepare_prompts,


if ENDPOINT:

    localrules:
        ask_shard,
