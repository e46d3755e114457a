#!/usr/bin/env python3
"""Print whether a Kubernetes Job is running, success or failed, in Snakemake's words."""

import json
import signal
import subprocess
import sys


def status(name: str) -> str:
    """Return the status of a Job; one that was deleted has failed, one that cannot be asked for is running."""
    command = ["kubectl", "get", "job", name, "--output=json", "--request-timeout=30s"]
    result = subprocess.run(command, text=True, capture_output=True, start_new_session=True)
    if result.returncode:
        print(result.stderr.strip(), file=sys.stderr)
        return "failed" if f'"{name}" not found' in result.stderr else "running"
    conditions = json.loads(result.stdout).get("status", {}).get("conditions") or []
    reached = {condition["type"] for condition in conditions if condition["status"] == "True"}
    return "success" if "Complete" in reached else "failed" if "Failed" in reached else "running"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Snakemake, interrupted, cancels no job whose status it lacks
    print(status(sys.argv[1]))
