#!/usr/bin/env bash
# A grid, and prediction, preparation, saliency and an audit in jobs, on a real SLURM of one machine: Debian's slurm-wlm and
# munge, started here as root, stopped at the end.
#
#   apt-get install slurm-wlm munge
#   tests/slurm/run.sh [SELCN]        # the selcn to use; .venv/bin/selcn by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
selcn=$(realpath "${1:-$here/../../.venv/bin/selcn}")
work=$(mktemp -d)
host=$(hostname -s)

pids=("$work/slurmctld.pid" "$work/slurmd.pid")
stop() {
    for pid in "${pids[@]}"; do [ ! -s "$pid" ] || kill "$(cat "$pid")" || true; done
}
trap stop EXIT

mkdir -p /run/munge /etc/munge "$work"/{state,spool}
[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown -R munge: /run/munge /etc/munge /var/lib/munge /var/log/munge
chmod 755 /run/munge && chmod 400 /etc/munge/munge.key
if ! pgrep -x munged > /dev/null; then
    su -s /bin/sh munge -c munged
    pids+=(/run/munge/munged.pid)
fi

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

catalog=$work/run/data/catalog.csv
export OMP_NUM_THREADS=1
in_jobs=(--executor slurm --jobs 2 --hours 0.5 --slurm partition=main --slurm cpus_per_task=1)

# Each in this process, and in jobs: the same bytes. An audit that finds something ends with 1.
both() {
    local name=$1
    shift
    "$selcn" "$@" --out "$work/one-$name" || [ "$name $?" = "audit.json 1" ]
    "$selcn" "$@" --out "$work/jobs-$name" "${in_jobs[@]}" || [ "$name $?" = "audit.json 1" ]
    diff -r --exclude .lock "$work/one-$name" "$work/jobs-$name"
}
both predict predict "$work/run/bundle" "$work/run/data/phantom/images"
both prepare prepare "$catalog" --size 64x48
both saliency saliency "$work/run/bundle" "$catalog"
both audit.json audit "$catalog"
echo "done: $work/run"
