# make            builds bin/muster
# make demo       builds what the demo needs and runs it
# make test       vets and tests everything, with the race detector where there is a C compiler
# make soak       kills servers under load, a hundred times each, and looks what is left; takes a while
# make scale      measures a start with many objects and the making of many namespaces, and holds both to what is promised
# make bench      measures Muster beside kube-apiserver; ARGS=--help tells what may be chosen
# make truth      asks kube-apiserver and Muster the same about random policies; ARGS=--help tells what may be chosen
# make bench-go   runs the benchmarks of the packages
# make lint       formatting, go vet, staticcheck
# make generate   writes the OpenAPI definitions and the deep copies anew
# make binaries   builds all that end-to-end tests run
# make attach     runs Kubernetes' own controllers and scheduler against Muster for five minutes; ARGS=-attach.for=1m for less
# make conformance-kubernetes   holds Kubernetes to what Muster is held to

# Both binaries report the Kubernetes version whose API they speak, read from the pinned kubectl: v0.37.2 is Kubernetes 1.37.2.
KUBERNETES := $(patsubst v0.%,v1.%,$(shell go list -m -f '{{.Version}}' k8s.io/kubectl))
MINOR      := $(word 2,$(subst ., ,$(KUBERNETES)))
STAMP      := k8s.io/component-base/version
LDFLAGS    := -s -w -X $(STAMP).gitVersion=$(KUBERNETES) -X $(STAMP).gitMajor=1 -X $(STAMP).gitMinor=$(MINOR)

# The same for every command, so that vet and staticcheck find in the build cache what a build has put there.
export CGO_ENABLED := 0
REPRODUCIBLE := -trimpath

# No version control stamp: it fails for root in another user's checkout, and relinks after each commit.
BUILD := go build $(REPRODUCIBLE) -buildvcs=false -ldflags '$(LDFLAGS)'

.PHONY: binaries demo test soak scale bench truth bench-go bench-check attach conformance-kubernetes lint vet generate clean always

bin/muster: always
	$(BUILD) -o $@ ./cmd/muster

bin/kubectl: always
	$(BUILD) -o $@ ./test/kubectl

# A module of its own, which needs a C compiler; only the test of external signers builds it.
bin/signer: always
	CGO_ENABLED=1 go build -C test/signer $(REPRODUCIBLE) -buildvcs=false -o ../../$@ .

# What Muster is measured with and against is built in a module of its own. Kubernetes takes ten minutes, the first time.
# A change of go.mod may ask for one there: cd bench && go mod tidy.
BENCH   := cd bench &&
DRIVER  := . ./load ./system ./truth
PEERS   := bin/kube-apiserver bin/etcd
ATTACHED := bin/kube-controller-manager bin/kube-scheduler

bin/bench: always
	$(BENCH) $(BUILD) -o ../$@ .

bin/truth: always
	$(BENCH) $(BUILD) -o ../$@ ./truth

$(PEERS) $(ATTACHED): always
	$(BENCH) $(BUILD) -o ../$@ ./$(notdir $@)

# Whether a binary is up to date is for go to say: it knows every file that goes in.
always:

binaries: bin/muster bin/kubectl

demo: binaries
	scripts/demo

test: binaries vet
	scripts/test

soak: binaries
	go test $(REPRODUCIBLE) -count=1 -timeout 2h -run 'AcknowledgedIsLost|HalfDone' ./test -args -crash.rounds 100 -converge.rounds 100

scale: binaries
	go test $(REPRODUCIBLE) -count=1 -timeout 30m -v -run ManyObjects ./test -args -scale.factor 1
	go test $(REPRODUCIBLE) -count=1 -timeout 30m -v -run ManyNamespaces ./test -args -scale.factor 1

# Muster alone is measured without building the others.
bench: bench-check bin/muster bin/bench $(if $(findstring -only muster,$(subst =, ,$(ARGS))),,$(PEERS))
	bin/bench $(ARGS)

truth: bench-check bin/muster bin/truth $(PEERS) bin/kube-controller-manager
	bin/truth $(ARGS)

bench-check:
	$(BENCH) go vet $(REPRODUCIBLE) $(DRIVER)
	$(BENCH) go test $(REPRODUCIBLE) $(DRIVER)

conformance-kubernetes: bin/muster $(PEERS) bin/kube-controller-manager
	$(BENCH) go test $(REPRODUCIBLE) -count=1 -run Kubernetes . -args -kubernetes $(CURDIR)/bin
	$(BENCH) go test $(REPRODUCIBLE) -count=1 ./nodes ./tokens
	$(BENCH) go test $(REPRODUCIBLE) -count=1 ./printers -args -muster $(CURDIR)/bin

attach: bin/muster $(ATTACHED)
	$(BENCH) go test $(REPRODUCIBLE) -count=1 -timeout 0 -v -run Attached . -args -attached $(CURDIR)/bin $(ARGS)

bench-go:
	go test $(REPRODUCIBLE) -run '^$$' -bench . -benchmem ./...

lint: vet bench-check
	@unformatted=$$(go tool gofumpt -l .) && test -z "$$unformatted" || { echo "not as gofumpt has it: $$unformatted" >&2; exit 1; }
	GOFLAGS="$$GOFLAGS $(REPRODUCIBLE)" go tool staticcheck ./...

vet:
	go vet $(REPRODUCIBLE) ./...

generate:
	scripts/generate .

clean:
	rm -rf bin
