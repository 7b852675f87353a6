#!/usr/bin/env bash
# A grid, and a prediction with its bundle, on a real SLURM of one machine: Debian's slurm-wlm and munge, started here as root, stopped at the end.
#
#   apt-get install slurm-wlm munge
#   tests/slurm/run.sh [SELCN]        # the selcn to use; .venv/bin/selcn by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
selcn=$(realpath "${1:-$here/../../.venv/bin/selcn}")
work=$(mktemp -d)
host=$(hostname -s)

stop() {
    for name in slurmctld slurmd munged; do pkill -x "$name" || true; done
}
trap stop EXIT

mkdir -p /run/munge /etc/munge "$work"/{state,spool}
[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown -R munge: /run/munge /etc/munge /var/lib/munge /var/log/munge
chmod 755 /run/munge && chmod 400 /etc/munge/munge.key
pgrep -x munged > /dev/null || su -s /bin/sh munge -c munged

cat > "$work/slurm.conf" <<CONF
ClusterName=selcn
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf
slurmctld
slurmd
for _ in $(seq 30); do
    scontrol update NodeName="$host" State=RESUME 2> /dev/null || true
    sinfo --noheader --format %t | grep -q idle && break
    sleep 1
done
sinfo

cd "$work"
"$selcn" grid "$here/grid.yaml" --out "$work/run" --executor slurm --jobs 2 --hours 0.5 \
    --slurm partition=main --slurm cpus_per_task=1
cat "$work/run/jobs/jobs.csv"

images=$work/run/data/phantom/images
export OMP_NUM_THREADS=1
"$selcn" predict "$work/run/bundle" "$images" --out "$work/one"
"$selcn" predict "$work/run/bundle" "$images" --out "$work/jobs" --executor slurm --jobs 2 --hours 0.5 \
    --slurm partition=main --slurm cpus_per_task=1
diff -r --exclude .lock "$work/one" "$work/jobs"
echo "done: $work/run"
