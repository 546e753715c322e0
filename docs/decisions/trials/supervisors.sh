#!/bin/sh
# The life-cycle list against supervisord, circus and honcho. Needs nothing of hlcopy.
# usage: sh supervisors.sh (makes a virtual environment in a temporary folder and removes it)
set -u
home=$(mktemp -d); cd "$home" || exit 1
trap 'rm -rf "$home"' EXIT
python3 -m venv venv && venv/bin/pip install -q supervisor==4.3.0 circus==0.19.0 honcho==2.0.0
PATH=$home/venv/bin:$PATH

# "data" is ready one second after its start; "app" needs it; "crash" fails at once with a message.
cat > data.sh <<'S'
#!/bin/sh
rm -f ready; sleep 1; touch ready; echo $$ > data.pid; exec sleep 1000
S
cat > app.sh <<'S'
#!/bin/sh
test -e ready || { echo "app: started before data was ready" >&2; exit 1; }
echo $$ > app.pid; exec sleep 1000
S
cat > crash.sh <<'S'
#!/bin/sh
echo "crash: the reason" >&2; exit 3
S
chmod +x ./*.sh
cat > supervisord.conf <<S
[supervisord]
nodaemon=true
logfile=log
pidfile=pid
[unix_http_server]
file=sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$home/sock
[program:data]
command=$home/data.sh
priority=1
[program:app]
command=$home/app.sh
stderr_logfile=$home/app.log
priority=2
[program:crash]
command=$home/crash.sh
S
cat > circus.ini <<S
[circus]
check_delay = 1
endpoint = tcp://127.0.0.1:5955
pubsub_endpoint = tcp://127.0.0.1:5956
[watcher:data]
cmd = $home/data.sh
priority = 3
[watcher:app]
cmd = $home/app.sh
priority = 2
[watcher:crash]
cmd = $home/crash.sh
priority = 1
S
printf 'data: ./data.sh\napp: sleep 1.5; ./app.sh\n' > Procfile
printf 'data: ./data.sh\napp: ./app.sh\n' > Procfile.order
printf 'data: ./data.sh\napp: sleep 1.5; ./app.sh\ncrash: sleep 3; ./crash.sh\n' > Procfile.crash

left() { sleep "$1"; n=0; for file in data.pid app.pid; do
  test -e $file && kill -0 "$(cat $file)" 2>/dev/null && n=$((n + 1)); done; echo $n; }
sweep() { for file in data.pid app.pid; do test -e $file && kill -9 "$(cat $file)" 2>/dev/null; done
  rm -f ready sock pid ./*.pid; sleep 0.5; }
trial() { # name, seconds of life, signal, command...
  name=$1; life=$2; signal=$3; shift 3
  rm -f ready; "$@" > out 2>&1 & pid=$!
  sleep "$life"; echo "== $name: alive $(left 0) of 2 after ${life}s"
  "${STATUS:-true}" 2>&1 | sed 's/^/   status: /'
  kill -"$signal" $pid 2>/dev/null || echo '   (it has ended by itself)'; echo "   $signal -> left running: $(left 4)"
  grep -iE 'before data|reason|FATAL|gave up|flapping|max_retry' out log app.log 2>/dev/null | cut -c1-110 | sort | uniq -c | sort -rn | head -3
  sweep; rm -f ./*log
}
s_status() { supervisorctl -c supervisord.conf status; }
c_status() { circusctl --endpoint tcp://127.0.0.1:5955 status; }
STATUS=s_status trial "supervisord, INT" 16 INT  supervisord -c supervisord.conf
STATUS=true     trial "supervisord, KILL" 5 KILL supervisord -c supervisord.conf
STATUS=c_status trial "circus, INT"       9 INT  circusd circus.ini
STATUS=true     trial "circus, KILL"      5 KILL circusd circus.ini
STATUS=true     trial "honcho, INT"       4 INT  honcho start
STATUS=true     trial "honcho, KILL"      3 KILL honcho start
STATUS=true     trial "honcho, order"     4 INT  honcho -f Procfile.order start
STATUS=true     trial "honcho, crash"     6 INT  honcho -f Procfile.crash start
