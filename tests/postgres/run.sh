#!/usr/bin/env bash
# A search by two workers on one study in a real PostgreSQL, one of them killed; started here, stopped at the end.
#
#   apt-get install postgresql; pip install 'selcn[postgres]'
#   tests/postgres/run.sh [SELCN]     # the selcn to use; .venv/bin/selcn by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
selcn=$(realpath "${1:-$here/../../.venv/bin/selcn}")
work=$(mktemp -d)
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
port=54329
chmod 755 "$work"
mkdir "$work/db" && chown postgres "$work/db"
as_postgres() { su -s /bin/bash postgres -c "$*"; }
trap 'as_postgres "$bin/pg_ctl -D $work/db -m immediate stop" > /dev/null || true' EXIT

as_postgres "$bin/initdb -D $work/db -A trust" > /dev/null
as_postgres "$bin/pg_ctl -D $work/db -w -l $work/db/log -o '-p $port -k $work/db -c listen_addresses=localhost' start"
as_postgres "$bin/createdb -h localhost -p $port studies"

cd "$work"
search() {
    "$selcn" tune symmetry --config "$here/../slurm/grid.yaml" --out run --name shared --trials 8 --jobs 2 \
        --storage "postgresql+psycopg://postgres@localhost:$port/studies" --set symmetry.epochs=20
}
search &
parent=$!
for _ in $(seq 240); do # until a trial is under way
    worker=$(pgrep -f "submitit.core._submit $work" | tail -1 || true)
    trials=$(as_postgres "$bin/psql -h localhost -p $port -Atc \"select count(*) from trials where state='RUNNING'\" studies" 2> /dev/null || echo 0)
    [ -n "$worker" ] && [ "$trials" -gt 0 ] && break
    sleep 0.5
done
echo "killing worker $worker while $trials trials run"
kill -9 "$worker"
wait "$parent"
cat run/tuning/shared/trials.csv run/tuning/shared/jobs/jobs.csv
as_postgres "$bin/psql -h localhost -p $port -c \"select state, count(*) from trials group by state\" studies"
