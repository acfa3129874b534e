// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
)

// notMade are the kinds that nobody makes in testdata/kinds.yaml, and why.
var notMade = map[string]string{
	"signingkeys.identity.muster.id": "the server makes them, without labels",
}

// What kubectl prints of one object of each kind is what Kubernetes prints of it: testdata/get.txt is held to the printers of
// Kubernetes by bench/printers. A new kind takes an object in testdata/kinds.yaml.
func TestKubectlPrintsEachKindAsPeopleKnowIt(t *testing.T) {
	t.Parallel()
	server := mustertest.Start(t)
	kubectl := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "../bin/kubectl", append([]string{"--kubeconfig", server.Kubeconfig()}, args...)...)
		cmd.Env = append(os.Environ(), "TZ=UTC", "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	kubectl("create", "-f", "testdata/kinds.yaml")
	kubectl("apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "testdata/kinds-status.yaml")
	recordEvents(t, server.Client())
	kubectl("wait", "validatingadmissionpolicy/small", "--for=jsonpath={.status.observedGeneration}=1") // its types are checked

	kinds := servedKinds(t, server.Client())
	made := kubectl("get", strings.Join(kinds, ","), "-n", "yard", "-l", "for=kinds", "-o", "name")
	for _, kind := range kinds {
		singular := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(singularOf(kind)) + `/`)
		if !singular.MatchString(made) {
			t.Errorf("testdata/kinds.yaml makes no object of %s", kind)
		}
	}
	for file, args := range map[string][]string{
		"get.txt":      {"get", strings.Join(kinds, ","), "-o", "wide"},
		"describe.txt": {"describe", strings.Join(kinds, ","), "--show-events"},
	} {
		compare(t, filepath.Join("testdata", file), still(kubectl(append(args, "-n", "yard", "-l", "for=kinds")...)))
	}
}

// servedKinds are all that can be listed, as kubectl names them.
func servedKinds(t *testing.T, client kubernetes.Interface) []string {
	t.Helper()
	_, lists, err := client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, list := range lists {
		group, _, grouped := strings.Cut(list.GroupVersion, "/")
		for _, resource := range list.APIResources {
			name := resource.Name
			if grouped {
				name += "." + group
			}
			if slices.Contains(resource.Verbs, "list") && notMade[name] == "" {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}

// singularOf is how kubectl writes an object of a kind, "role.rbac.authorization.k8s.io" for roles.
func singularOf(kind string) string {
	plural, group, _ := strings.Cut(kind, ".")
	singular := strings.TrimSuffix(plural, "s")
	if stem, ok := strings.CutSuffix(plural, "ies"); ok {
		singular = stem + "y"
	}
	if group == "" {
		return singular
	}
	return singular + "." + group
}

// recordEvents has something happen to what kubectl describes with its events.
func recordEvents(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	pod, err := client.CoreV1().Pods("yard").Get(t.Context(), "hand", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	job, err := client.BatchV1().Jobs("yard").Get(t.Context(), "paint", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	account, err := client.CoreV1().ServiceAccounts("yard").Get(t.Context(), "hand", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, about := range map[string]corev1.ObjectReference{
		"pod":     {Kind: "Pod", APIVersion: "v1", Namespace: "yard", Name: pod.Name, UID: pod.UID},
		"job":     {Kind: "Job", APIVersion: "batch/v1", Namespace: "yard", Name: job.Name, UID: job.UID},
		"account": {Kind: "ServiceAccount", APIVersion: "v1", Namespace: "yard", Name: account.Name, UID: account.UID},
	} {
		event := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "yard"}, InvolvedObject: about,
			Type: corev1.EventTypeWarning, Reason: "Tested", Message: fmt.Sprintf("the %s was tested", name),
			Source: corev1.EventSource{Component: "tester"}, FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Count: 1,
		}
		if _, err := client.CoreV1().Events("yard").Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// moving are the parts of what is printed that are never the same, and what stands for them.
var moving = []struct {
	part *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UID"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT[\d:.]+Z|\b\w{3}, \d\d \w{3} \d{4} [\d:]+ \+0000`), "TIME"},
	{regexp.MustCompile(`(?m)(\s|\()\d+[smhdy](\d+[smhd])?( ago)?(\s|\)|$)`), "${1}AGE${3}${4}"},
	{regexp.MustCompile(`(?m)(Resource Version:\s+)\d+$`), "${1}N"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

// still takes out what moves, and the width of columns with it.
func still(text string) string {
	for _, m := range moving {
		text = m.part.ReplaceAllString(text, m.as)
	}
	return text
}

// compare holds text to a file, or writes it.
func compare(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got; -update accepts it):\n%s", path, diff)
	}
}
