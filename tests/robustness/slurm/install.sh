#!/usr/bin/env bash
# Installs what tests/robustness/slurm needs, a real Slurm and munge: on Debian and Ubuntu, as root. Elsewhere it changes nothing
# and says what is missing; those tests then skip. The daemons that come with the packages are not started.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch squeue; do
    command -v "$program" >/dev/null || missing=yes
done
if [ -z "${missing:-}" ]; then
    echo "Slurm is there: $(slurmctld -V)"
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "No Slurm here, and no way to install it (needs root and apt-get): its tests will skip. Packages: slurm-wlm, munge"
    exit 1
fi
# A package's daemon would be started by its installation, unless this says no.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
told=$(mktemp)
if ! { apt-get update -qq && apt-get install -yqq --no-install-recommends slurm-wlm munge; } >"$told" 2>&1; then
    tail -n 3 "$told"
    rm -f "$told"
    echo "Slurm could not be installed (above): its tests will skip. Packages: slurm-wlm, munge"
    exit 1
fi
rm -f "$told"
echo "Slurm installed: $(slurmctld -V)"
