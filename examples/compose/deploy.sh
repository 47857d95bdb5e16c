#!/bin/sh
# Deploys an image to the colour that does not serve, then lets it serve: ./deploy.sh IMAGE
#
# Exit 4: the new version did not become healthy; the old one still serves, and nothing has changed.
# The old colour runs on, for `docker compose exec edge edgectl rollback`.
set -eu
cd "$(dirname "$0")"
image=${1:?usage: ./deploy.sh IMAGE}

edge() { docker compose exec -T edge edgectl "$@"; }

color=$(edge idle)
# Kept in .env, so that a later `docker compose up -d` starts what was deployed.
touch .env
{ grep -v "^IMAGE_$color=" .env || true; echo "IMAGE_$color=$image"; } >.env.new
mv .env.new .env

docker compose up -d --no-deps "app-$color"
edge switch "$color" --reason "deploy $image"
