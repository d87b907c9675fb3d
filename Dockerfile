# syntax=docker/dockerfile:1.7
# An image of the program alone: no shell, no package manager, nobody's root. It writes to /data and /tmp only, so
# that it runs with a read-only root (docker run --read-only --tmpfs /tmp -v carryover:/data). It listens for other machines,
# and so wants a certificate (CARRYOVER_TLS_CERT, CARRYOVER_TLS_KEY) or, behind what encrypts, CARRYOVER_INSECURE_LISTEN=true.
# Bases are named by tag; pin them by digest where builds must be the same.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Caches stay with the builder: only what has changed is compiled again. The result must leave the cached folder.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release && \
    install -D --mode=0755 target/release/carryover /out/carryover && \
    mkdir /out/data

# The same C library as above, and the certificates of those who vouch for public servers.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/carryover /usr/local/bin/carryover
COPY --from=build --chown=65532:65532 /out/data /data
ENV CARRYOVER_LISTEN=0.0.0.0:50051 \
    CARRYOVER_DATA_DIR=/data \
    CARRYOVER_LOG_FORMAT=json
USER 65532:65532
VOLUME /data
EXPOSE 50051 9464
ENTRYPOINT ["/usr/local/bin/carryover"]
CMD ["serve"]
