"""``gendist snakefile``: the path of the workflow, for Snakemake itself."""

import typer


def snakefile() -> None:
    """Print the path of the Snakefile.

    Example: `snakemake -s $(gendist snakefile) --configfile reviews.yaml --cores 4`.
    """
    from gendist.launcher.snakemake_command import workflow_folder

    typer.echo(workflow_folder() / "Snakefile")
