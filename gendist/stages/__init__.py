"""The stages of a study, each of the name that it has in rules/ and workflow_scripts/."""
