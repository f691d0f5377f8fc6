# Two ways to the same image:
#
#   docker build -t edgerouter .      compiles in a container (the last stage)
#   make image-local                  puts a binary that was built outside into it
#                                     (Dockerfile.prebuilt), and pulls no image at all
#
# The process is not root and can still listen on 80 and 443: Docker 20.10 and later
# start containers with net.ipv4.ip_unprivileged_port_start=0. On other engines set
# that sysctl, or let it listen on high ports (EDGEROUTER_HTTP=:8080).

# What both images have. There is no shell in it, and nothing else to attack.
FROM scratch AS base
ENV EDGEROUTER_DATA=/var/lib/edgerouter
EXPOSE 80 443
USER 65532:65532
ENTRYPOINT ["/edgerouter"]
CMD ["serve"]
# The binary asks the admin listener that EDGEROUTER_ADMIN names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/edgerouter", "healthcheck"]

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X edgerouter/cli.release=${VERSION}" -o /out/edgerouter . && mkdir /out/data

FROM base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/data /var/lib/edgerouter
COPY --from=build /out/edgerouter /edgerouter
VOLUME /var/lib/edgerouter
