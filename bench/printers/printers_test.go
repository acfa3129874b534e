// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package printers holds the tables that Muster makes of its objects to those that Kubernetes makes of the same. It stands apart
// because it takes much of Kubernetes to build.
package printers

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/controlplane" // every group of Kubernetes
	"k8s.io/kubernetes/pkg/printers"
	"k8s.io/kubernetes/pkg/printers/internalversion"

	"github.com/muster-identity/muster/bench/system"
)

// made are the objects of every kind that Muster's own tests print, too.
const made = "../../test/testdata/"

var binaries = flag.String("muster", "", "folder of muster")

func TestTablesAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	if *binaries == "" {
		t.Skip("-muster does not say where the program is: `make conformance-kubernetes` builds and names it")
	}
	muster, err := system.StartMuster(t.Context(), system.Binaries(*binaries), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(muster.Stop)
	client, err := kubernetes.NewForConfig(muster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects(t, made+"kinds.yaml") {
		path := where(t, client, object)
		if err := client.Discovery().RESTClient().Post().AbsPath(path).Body(encoded(t, object)).SetHeader("Content-Type", "application/json").Do(t.Context()).Error(); err != nil {
			t.Fatalf("making %s: %v", object.GetName(), err)
		}
	}
	for _, object := range objects(t, made+"kinds-status.yaml") {
		path := where(t, client, object)
		err := client.Discovery().RESTClient().Patch("application/merge-patch+json").AbsPath(path, object.GetName(), "status").Body(encoded(t, object)).Do(t.Context()).Error()
		if err != nil {
			t.Fatalf("bringing %s about: %v", object.GetName(), err)
		}
	}
	theirs := printers.NewTableGenerator().With(internalversion.AddHandlers)
	_, lists, err := client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || !legacyscheme.Scheme.IsVersionRegistered(version) {
				continue
			}
			compared++
			t.Run(resource.Name+"."+version.Group, func(t *testing.T) { compareTables(t, theirs, client, version, resource.Name) })
		}
	}
	if compared < 20 {
		t.Errorf("%d kinds were compared", compared)
	}
}

func compareTables(t *testing.T, theirs printers.TableGenerator, client kubernetes.Interface, version schema.GroupVersion, resource string) {
	ours := &metav1.Table{}
	raw, err := client.Discovery().RESTClient().Get().AbsPath(root(version), resource).Param("includeObject", "Object").
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, ours); err != nil {
		t.Fatal(err)
	}
	if len(ours.Rows) == 0 {
		t.Fatal("there is none of this kind")
	}
	for _, row := range ours.Rows {
		object, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), row.Object.Raw)
		if err != nil {
			t.Fatal(err)
		}
		want, err := theirs.GenerateTable(object, printers.GenerateOptions{Wide: true})
		if err != nil && strings.Contains(err.Error(), "no table handler registered") { // as of roles: they have no printer
			want, err = rest.NewDefaultTableConvertor(version.WithResource(resource).GroupResource()).ConvertToTable(t.Context(), object, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.ColumnDefinitions, ours.ColumnDefinitions); diff != "" {
			t.Fatalf("columns (-Kubernetes +Muster):\n%s", diff)
		}
		if diff := cmp.Diff(cells(want.Rows[0]), cells(row)); diff != "" {
			t.Errorf("cells (-Kubernetes +Muster):\n%s", diff)
		}
	}
}

// aging is a time that goes on between the two tables.
var aging = regexp.MustCompile(`\d+[smhdy](\d+[smhd])?`)

func cells(row metav1.TableRow) []string {
	var all []string
	for _, cell := range row.Cells {
		all = append(all, aging.ReplaceAllString(fmt.Sprint(cell), "AGE"))
	}
	return all
}

func objects(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1<<12); ; {
		object := &unstructured.Unstructured{}
		if decoder.Decode(object) != nil {
			return all
		}
		all = append(all, object)
	}
}

// where is the path of the list that an object is in.
func where(t *testing.T, client kubernetes.Interface, object *unstructured.Unstructured) string {
	t.Helper()
	version := object.GroupVersionKind().GroupVersion()
	list, err := client.Discovery().ServerResourcesForGroupVersion(version.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list.APIResources {
		if r.Kind != object.GetKind() || strings.Contains(r.Name, "/") {
			continue
		}
		if !r.Namespaced {
			return root(version) + "/" + r.Name
		}
		return root(version) + "/namespaces/" + object.GetNamespace() + "/" + r.Name
	}
	t.Fatalf("%s is not served", object.GetKind())
	return ""
}

func root(version schema.GroupVersion) string {
	if version.Group == "" {
		return "/api/" + version.Version
	}
	return "/apis/" + version.String()
}

func encoded(t *testing.T, object *unstructured.Unstructured) []byte {
	t.Helper()
	text, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
