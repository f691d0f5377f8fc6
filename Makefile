# The few commands people use. Each is one line that can be typed as well.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X edgerouter/cli.release=$(VERSION)
IMAGE   ?= edgerouter:$(VERSION)

.PHONY: dev test ci bench build image image-local

dev: ## try it: http://hello.localhost:8080/
	go run . serve --dev

test: ## what passes with Go alone
	go test ./...

ci: ## what has to pass before a change lands
	bash .ci/run

bench: ## side by side with nginx, haproxy, caddy
	go run . bench compare

build: ## a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o edgerouter .

image: ## a container image, built in a container
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

image-local: ## the same image around a binary built here: no image is pulled
	set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o "$$dir/edgerouter" .; \
	cp /etc/ssl/certs/ca-certificates.crt "$$dir/"; mkdir "$$dir/data"; \
	docker build -f Dockerfile.prebuilt -t $(IMAGE) "$$dir"
