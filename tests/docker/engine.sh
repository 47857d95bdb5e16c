# A Docker Engine of the tests' own, and images made of what is on this machine: no registry is asked. Sourced by tests/docker/run.
#
# Everything is below $WORK: data, socket, pid, client config. The script runs in namespaces of its own, so bridge, rules and processes
# are gone with it, and an engine that the machine runs for itself notices nothing.

export DOCKER_HOST=unix://$WORK/docker.sock DOCKER_CONFIG=$WORK/config

start_engine() {
	mkdir -p "$WORK/data" "$WORK/exec" "$DOCKER_CONFIG/cli-plugins"
	# Debian's docker-compose is no plugin of the client yet.
	docker compose version >/dev/null 2>&1 || plugin >"$DOCKER_CONFIG/cli-plugins/docker-compose"
	chmod +x "$DOCKER_CONFIG"/cli-plugins/* 2>/dev/null || true
	ip link set lo up
	dockerd --data-root "$WORK/data" --exec-root "$WORK/exec" --pidfile "$WORK/docker.pid" --host "$DOCKER_HOST" \
		>"$WORK/dockerd.log" 2>&1 &
	ENGINE=$!
	tries=0
	until docker info >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] && kill -0 "$ENGINE" 2>/dev/null || { tail -n 20 "$WORK/dockerd.log" >&2; return 1; }
		sleep 0.2
	done
}

stop_engine() {
	docker ps -aq | xargs -r docker rm -fv >/dev/null 2>&1 || true
	docker network prune -f >/dev/null 2>&1 || true
	kill "$ENGINE" 2>/dev/null || true
	wait "$ENGINE" 2>/dev/null || true
}

plugin() {
	cat <<-'END'
		#!/bin/sh
		if [ "$1" = docker-cli-plugin-metadata ]; then
			echo '{"SchemaVersion": "0.1.0", "Vendor": "test", "Version": "0", "ShortDescription": "docker-compose"}'
			exit
		fi
		shift
		exec docker-compose "$@"
	END
}

# An app that says its version, and is healthy unless its version is "broken". Like many, it has no handler for SIGTERM.
app_image() {
	root=$WORK/app-$1
	mkdir -p "$root/bin" "$root/www"
	cp "$(command -v busybox)" "$root/bin/busybox"
	ln -sf busybox "$root/bin/sh"
	echo "$1" >"$root/www/index.html"
	[ "$1" = broken ] || echo ok >"$root/www/health"
	tar -C "$root" -c . | docker import --change 'CMD ["busybox", "httpd", "-f", "-p", "8000", "-h", "/www"]' - "app:$1" >/dev/null
}

# The daemon with the libraries that it needs; user and folders as in the Dockerfile.
edge_image() {
	root=$WORK/edge
	mkdir -p "$root/bin" "$root/etc/edgectl" "$root/var/lib/edgectl" "$root/run/edgectl" "$root/tmp"
	cp "$(command -v busybox)" "$root/bin/busybox"
	ln -sf busybox "$root/bin/sh"
	cp "$EDGECTL" "$root/bin/edgectl"
	strip --strip-debug "$root/bin/edgectl"
	ldd "$EDGECTL" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done
	echo 'edgectl:x:999:999::/:/bin/sh' >"$root/etc/passwd"
	chown 999:999 "$root/var/lib/edgectl" "$root/run/edgectl"
	tar -C "$root" -c . | docker import --change 'USER edgectl' --change 'VOLUME /var/lib/edgectl' \
		--change 'ENTRYPOINT ["edgectl"]' --change 'CMD ["serve"]' - edgectl >/dev/null
}
