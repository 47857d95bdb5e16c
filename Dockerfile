# The daemon alone, in a small image: docker build -t edgectl .
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin edgectl

FROM debian:bookworm-slim
# Docker lets any user bind low ports inside a container. The folders belong to the user that the daemon runs as, whose number is fixed:
# mounts and secrets name it.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 999 edgectl && useradd --system --no-create-home --uid 999 --gid 999 edgectl \
    && install -d -o edgectl -g edgectl -m 0700 /var/lib/edgectl \
    && install -d -o edgectl -g edgectl -m 0750 /run/edgectl
COPY --from=build /src/target/release/edgectl /usr/local/bin/edgectl
USER edgectl
VOLUME /var/lib/edgectl
EXPOSE 80 443
HEALTHCHECK --interval=5s --timeout=2s --start-period=15s CMD ["edgectl", "health"]
ENTRYPOINT ["edgectl"]
CMD ["serve"]
