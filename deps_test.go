// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package muster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/muster-identity/muster"

// A room is a folder of the module with all that is below it.
type room struct {
	path string
}

// rooms is the house from the roof down: a room may import only rooms that stand below it.
var rooms = []room{
	{path: "test"},
	{path: "mustertest"},
	{path: "cmd/muster"},
	{path: "server"},
	{path: "registry"},
	{path: "controller"},
	{path: "admission"},
	{path: "authn"},
	{path: "authz"},
	{path: "issuer"},
	{path: "access"},
	{path: "check"},
	{path: "auditlog"},
	{path: "rbac"},
	{path: "live"},
	{path: "pages"},
	{path: "keyring/external"},
	{path: "keyring/signertest"},
	{path: "keyring"},
	{path: "authority"},
	{path: "node"},
	{path: "projection"},
	{path: "token"},
	{path: "es256"},
	{path: "verify"},
	{path: "openapi"},
	{path: "identity"},
}

// A ban keeps packages out of a room. A banned path stands for itself and all below it. Banned imports are those written
// in the room's own files; banned reach is also what those bring along, however far away.
type ban struct {
	room    string
	imports []string
	reach   []string
	why     string
}

var bans = []ban{
	{
		room:    "cmd/muster",
		imports: []string{"go.etcd.io", "github.com/go-jose/go-jose/v4", "k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage"},
		why:     "the command line parses, calls and prints; how anything is done is the rooms' business",
	},
	{
		room:  "cmd/muster",
		reach: []string{"testing", "github.com/rogpeppe/go-internal", "k8s.io/kubectl/pkg/cmd"},
		why:   "what only tests need is no part of the program",
	},
	{
		room:    "server",
		imports: []string{"github.com/go-jose/go-jose/v4"},
		why:     "the server puts the rooms together; tokens are made and read in token and keyring",
	},
	{
		room:    "registry",
		imports: []string{"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/endpoints/handlers", "github.com/emicklei/go-restful/v3"},
		why:     "REST storage deals in objects; routes and responses belong to k8s.io/apiserver and to server",
	},
	{
		room:    "controller",
		imports: []string{"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/endpoints", "k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage", "go.etcd.io"},
		why:     "controllers see the API through a client, as if from outside",
	},
	{
		room:    "admission",
		imports: []string{"k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage/etcd3", "k8s.io/apiserver/pkg/storage/storagebackend", "go.etcd.io"},
		why:     "an admission plugin judges the object it is handed; what exists it asks of live",
	},
	{
		room:    "authn",
		imports: []string{"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/endpoints/handlers", "github.com/emicklei/go-restful/v3"},
		why:     "who calls is decided from the credentials, whatever the route",
	},
	{
		room:    "authz",
		imports: []string{module + "/issuer", module + "/keyring", module + "/token", "github.com/go-jose/go-jose/v4"},
		why:     "whether they may is decided from the user, however that user was authenticated",
	},
	{
		room:    "issuer",
		imports: []string{"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/endpoints", "github.com/go-jose/go-jose/v4"},
		why:     "the rules for a token know neither the request that asks for it nor the bytes it becomes",
	},
	{
		room:  "rbac",
		reach: []string{"k8s.io/client-go", "k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/storage", "go.etcd.io"},
		why:   "the algebra of rules is pure: objects in, answer out",
	},
	{
		room:    "keyring",
		imports: []string{"k8s.io/apiserver/pkg/server"},
		reach:   []string{module + "/token"},
		why:     "keys sign bytes; what the bytes claim is token's business",
	},
	{
		room:  "node",
		reach: []string{"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage", "go.etcd.io"},
		why:   "the agent runs where the server is not; it has a client and nothing else",
	},
	{
		room:  "check",
		reach: []string{"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage", "go.etcd.io", module + "/live"},
		why:   "what is found is found through the API, in any server of it",
	},
	{
		room:  "projection",
		reach: []string{"k8s.io/client-go", "k8s.io/apiserver"},
		why:   "a volume on disk is made from bytes and modes, wherever they come from",
	},
	{
		room:  "identity",
		reach: []string{"k8s.io/client-go", "k8s.io/apiserver"},
		why:   "the types of the API are for clients too: they depend on no more than k8s.io/api does",
	},
	{
		room:    "token",
		imports: []string{"net", "net/http", "os"},
		reach:   []string{"k8s.io/client-go", "k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage", "go.etcd.io", "google.golang.org/grpc"},
		why:     "a token is encoded, parsed and checked without network, files or stored state",
	},
}

// A lightRow holds a package that other people's services import to what it may bring along besides the standard library.
type lightRow struct {
	path    string
	reaches []string
	why     string
}

// light are those packages, with all that is below them. A package goes by the first row that it is within.
var light = []lightRow{
	{"verify/verifygrpc", []string{
		module + "/verify", "github.com/go-jose/go-jose/v4", "google.golang.org/grpc",
		// What grpc itself needs.
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/protobuf",
	}, "it may reach verify, grpc and what grpc needs only"},
	{"verify", []string{module + "/verify", "github.com/go-jose/go-jose/v4"}, "it may reach the standard library and go-jose only"},
}

// reserved packages may be imported by the named room alone, or by nobody.
var reserved = []struct{ path, room, why string }{
	{"k8s.io/kubernetes", "", "what Kubernetes does for identities Muster does itself"},
	{"k8s.io/kubectl/pkg/cmd", "test/kubectl", "kubectl is a client of Muster, for tests and the demo"},
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, breach := range breaches(loadPackages(t)) {
		t.Error(breach)
	}
}

// The rules themselves are tried on houses that break them: a rule that never bites is none.
func TestRulesOfTheHouseBite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		add  packages
		want []string
	}{
		{
			name: "a sound house",
			add:  packages{},
		},
		{
			name: "an arrow upwards",
			add:  packages{module + "/token": {Imports: []string{module + "/live"}}},
			want: []string{`"token" imports "live": arrows go down only`},
		},
		{
			name: "an arrow upwards from a folder within a room",
			add:  packages{module + "/admission/serviceaccount": {Imports: []string{module + "/server"}}},
			want: []string{`"admission/serviceaccount" imports "server": arrows go down only`},
		},
		{
			name: "a package in no room",
			add:  packages{module + "/util": {}},
			want: []string{`"util" stands in no room: give it a place in the table of rooms`},
		},
		{
			name: "a banned import",
			add:  packages{module + "/registry": {Imports: []string{"k8s.io/apiserver/pkg/server/mux"}}},
			want: []string{`"registry" imports "k8s.io/apiserver/pkg/server/mux": REST storage deals in objects; routes and responses belong to k8s.io/apiserver and to server`},
		},
		{
			name: "a banned package far away",
			add:  packages{module + "/rbac": {Imports: []string{"x"}, Deps: []string{"x", "k8s.io/client-go/rest"}}},
			want: []string{`"rbac" reaches "k8s.io/client-go/rest": the algebra of rules is pure: objects in, answer out`},
		},
		{
			name: "a second library behind verify",
			add: packages{
				module + "/verify": {Deps: []string{"net/http", "github.com/go-jose/go-jose/v4/jwt", "k8s.io/api/core/v1"}},
			},
			want: []string{`"verify" reaches "k8s.io/api/core/v1": it may reach the standard library and go-jose only`},
		},
		{
			name: "grpc behind verify",
			add:  packages{module + "/verify/verifyhttp": {Deps: []string{"net/http", "google.golang.org/grpc/codes"}}},
			want: []string{`"verify/verifyhttp" reaches "google.golang.org/grpc/codes": it may reach the standard library and go-jose only`},
		},
		{
			name: "more than grpc behind verifygrpc",
			add: packages{
				module + "/verify/verifygrpc": {Deps: []string{"google.golang.org/grpc/codes", "google.golang.org/protobuf/proto", "k8s.io/klog/v2"}},
			},
			want: []string{`"verify/verifygrpc" reaches "k8s.io/klog/v2": it may reach verify, grpc and what grpc needs only`},
		},
		{
			name: "a package reserved for nobody",
			add:  packages{module + "/authn": {Imports: []string{"k8s.io/kubernetes/pkg/serviceaccount"}}},
			want: []string{`"authn" imports "k8s.io/kubernetes/pkg/serviceaccount": what Kubernetes does for identities Muster does itself`},
		},
		{
			name: "a package reserved for another",
			add:  packages{module + "/node": {Imports: []string{"k8s.io/kubectl/pkg/cmd"}}},
			want: []string{`"node" imports "k8s.io/kubectl/pkg/cmd": kubectl is a client of Muster, for tests and the demo`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			house := soundHouse()
			for path, p := range test.add {
				house[path] = p
			}
			if diff := cmp.Diff(test.want, breaches(house)); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a room that has vanished", func(t *testing.T) {
		t.Parallel()
		house := soundHouse()
		delete(house, module+"/projection")
		want := []string{`room "projection" has no package: take it out of the table of rooms`}
		if diff := cmp.Diff(want, breaches(house)); diff != "" {
			t.Errorf("breaches (-want +got):\n%s", diff)
		}
	})
	t.Run("a light package that has vanished, and a library", func(t *testing.T) {
		t.Parallel()
		house := soundHouse()
		delete(house, module+"/verify/verifygrpc")
		delete(house, "google.golang.org/protobuf")
		want := []string{
			`"verify/verifygrpc" may reach "google.golang.org/protobuf", but nothing in the house does: correct the row`,
			`light package "verify/verifygrpc" is not there: take it out of the table`,
		}
		if diff := cmp.Diff(want, breaches(house)); diff != "" {
			t.Errorf("breaches (-want +got):\n%s", diff)
		}
	})
}

// soundHouse has one package in each room, each light package, and what the bans and the light packages name.
func soundHouse() packages {
	house := packages{"net/http": {Standard: true}}
	for _, r := range rooms {
		house[module+"/"+r.path] = pkg{}
	}
	var named []string
	for _, b := range bans {
		named = slices.Concat(named, b.imports, b.reach)
	}
	for _, row := range light {
		named = slices.Concat(named, []string{module + "/" + row.path}, row.reaches)
	}
	for _, path := range named {
		if _, ok := house[path]; !ok {
			house[path] = pkg{}
		}
	}
	return house
}

// breaches are all that the house and its rules have against each other, in the order of the alphabet.
func breaches(ps packages) []string {
	found := staleRules(ps)
	for from, p := range ps.own() {
		if roomOf(from) < 0 {
			found = append(found, fmt.Sprintf("%q stands in no room: give it a place in the table of rooms", from))
			continue
		}
		found = slices.Concat(found, upwards(from, p), banned(from, p), tooHeavy(from, p, ps))
	}
	slices.Sort(found)
	return found
}

// staleRules are those that name a room that has gone, or ban what nothing in the house reaches any more: mistyped or
// overtaken, they would never bite.
func staleRules(ps packages) []string {
	var found []string
	for _, r := range rooms {
		if !ps.has(module + "/" + r.path) {
			found = append(found, fmt.Sprintf("room %q has no package: take it out of the table of rooms", r.path))
		}
	}
	for _, b := range bans {
		if roomOf(b.room) < 0 {
			found = append(found, fmt.Sprintf("a ban concerns %q, which is no room", b.room))
		}
		for _, path := range slices.Concat(b.imports, b.reach) {
			if !ps.has(path) {
				found = append(found, fmt.Sprintf("%q is banned from %q, but nothing in the house reaches it: correct the ban", path, b.room))
			}
		}
	}
	for _, row := range light {
		if !ps.has(module + "/" + row.path) {
			found = append(found, fmt.Sprintf("light package %q is not there: take it out of the table", row.path))
		}
		for _, path := range row.reaches {
			if !ps.has(path) {
				found = append(found, fmt.Sprintf("%q may reach %q, but nothing in the house does: correct the row", row.path, path))
			}
		}
	}
	return found
}

func upwards(from string, p pkg) []string {
	var found []string
	for _, path := range p.Imports {
		if to, ok := strings.CutPrefix(path, module+"/"); ok && roomOf(to) < roomOf(from) {
			found = append(found, fmt.Sprintf("%q imports %q: arrows go down only", from, to))
		}
	}
	return found
}

func banned(from string, p pkg) []string {
	var found []string
	for _, b := range bans {
		if !within(from, b.room) {
			continue
		}
		for _, path := range matching(p.Imports, b.imports...) {
			found = append(found, fmt.Sprintf("%q imports %q: %s", from, path, b.why))
		}
		for _, path := range matching(p.Deps, b.reach...) {
			found = append(found, fmt.Sprintf("%q reaches %q: %s", from, path, b.why))
		}
	}
	for _, r := range reserved {
		if r.room != "" && within(from, r.room) {
			continue
		}
		for _, path := range matching(p.Imports, r.path) {
			found = append(found, fmt.Sprintf("%q imports %q: %s", from, path, r.why))
		}
	}
	return found
}

func tooHeavy(from string, p pkg, ps packages) []string {
	row := slices.IndexFunc(light, func(row lightRow) bool { return within(from, row.path) })
	if row < 0 {
		return nil
	}
	var found []string
	for _, path := range p.Deps {
		if !ps[path].Standard && len(matching([]string{path}, light[row].reaches...)) == 0 {
			found = append(found, fmt.Sprintf("%q reaches %q: %s", from, path, light[row].why))
		}
	}
	return found
}

// roomOf returns the place of a package of the module in the table of rooms, counted from the roof, or -1.
func roomOf(path string) int {
	return slices.IndexFunc(rooms, func(r room) bool { return within(path, r.path) })
}

// matching are the paths that stand at or below one of parents.
func matching(paths []string, parents ...string) []string {
	var found []string
	for _, path := range paths {
		if slices.ContainsFunc(parents, func(parent string) bool { return within(path, parent) }) {
			found = append(found, path)
		}
	}
	return found
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}
