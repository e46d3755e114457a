"""The workflow as a module of another one."""

from workflow_fixtures import STUDY, Checkout

SNAKEFILE = """
configfile: "study.yaml"


module gendist:
    snakefile:
        "{checkout}/Snakefile"
    config:
        config["study"]


use rule * from gendist as gendist_*


rule everything:
    default_target: True
    input:
        rules.gendist_all.input,
    output:
        "done.txt",
    shell:
        "touch {{output}}"
"""


def test_another_workflow_uses_the_rules(bare: Checkout, tmp_path):
    import yaml

    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "toy").symlink_to(bare.folder / "toy")
    (folder / "Snakefile").write_text(SNAKEFILE.format(checkout=bare.folder))
    (folder / "study.yaml").write_text(yaml.safe_dump({"study": STUDY}))
    alone = bare.planned(STUDY)
    planned = Checkout(folder).planned("study.yaml")
    assert planned.pop("everything") == 1
    assert {rule.removeprefix("gendist_"): count for rule, count in planned.items() if rule != "gendist_all"} == alone
