#!/bin/sh
# Deploys an image to the colour that does not serve, then lets it serve: ./deploy.sh IMAGE
#
# WATCH=30s: how long the new colour is watched after the switch; if it fails meanwhile, the old one serves again. "0s": no watch.
# A second deploy waits until the first has ended. The old colour runs on, for `docker compose exec edge edgectl rollback`.
#
# exit 0: IMAGE serves
#      4: it did not become healthy; the old colour still serves, and nothing has changed
#      5: another operation has changed what serves; nothing has changed
#      6: it failed while it was watched; the old colour serves again
#      1: anything else; the message says what serves
set -eu
cd "$(dirname "$0")"
image=${1:?usage: ./deploy.sh IMAGE}

compose() { docker compose "$@" </dev/null; }
edge() { compose exec -T edge edgectl "$@"; }
say() { echo "deploy: $*" >&2; }

# Two deploys at a time would both take the idle colour, and the second would replace the container that the first lets serve.
command -v flock >/dev/null || { say "flock is missing (Debian: util-linux)"; exit 1; }
exec 9>.deploy.lock
flock -n 9 || { say "another deploy is running; this one waits for it"; flock 9; }

seen=$(edge idle --json)
color=$(printf '%s\n' "$seen" | sed -n 's/.*"idle" *: *"\([a-z]*\)".*/\1/p')
generation=$(printf '%s\n' "$seen" | sed -n 's/.*"generation" *: *\([0-9]*\).*/\1/p')
[ -n "$color" ] && [ -n "$generation" ] || { say "what serves is not known: $seen"; exit 1; }

# Kept in .env, so that a later `docker compose up -d` starts what was deployed.
touch .env
{ grep -v "^IMAGE_$color=" .env || true; echo "IMAGE_$color=$image"; } >.env.new
mv .env.new .env

compose up -d --no-deps "app-$color"
container=$(compose ps -q "app-$color")
runs=$(docker inspect -f '{{.Config.Image}}' "$container")
[ "$runs" = "$image" ] || { say "app-$color runs $runs instead of $image; is IMAGE_$color set in the environment?"; exit 1; }

edge switch "$color" --if-generation "$generation" --watch "${WATCH:-30s}" --reason "deploy $image"

# Something else than this script may have replaced the container after it had passed the gate.
if [ "$(compose ps -q "app-$color")" != "$container" ]; then
	say "app-$color was replaced during the switch, and its new container has passed no gate: rolling back"
	edge rollback --reason "app-$color was replaced during the deploy" || true
	say "$(edge active) serves"
	exit 1
fi
say "$image serves as $color"
