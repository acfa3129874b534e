// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// checkNothingLeft fails the test if a Pod, a Lease or a folder is there.
func checkNothingLeft(t *testing.T, server *fakeServer, dir string) {
	t.Helper()
	if left := server.left(); left != "" {
		t.Errorf("left on the server: %s", left)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left on disk: %v, %v", entries, err)
	}
}

func TestRunTakesItsStepsInOrder(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	code, err := server.process(dir, "sh", "-c", "exit 3").Run(t.Context())
	if err != nil || code != 3 {
		t.Errorf("Run = %d, %v", code, err)
	}
	want := []string{
		"create pods", "create leases", "create serviceaccounts/token", "get configmaps",
		"delete pods", "delete leases",
	}
	if diff := cmp.Diff(want, server.asked()); diff != "" {
		t.Error(diff)
	}
	removals := slices.DeleteFunc(server.Actions(), func(action clienttesting.Action) bool { return nameOf(action) != "delete pods" })
	remove := removals[0].(clienttesting.DeleteAction).GetDeleteOptions()
	wantRemove := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions("uid-1")}
	if diff := cmp.Diff(wantRemove, remove); diff != "" {
		t.Error(diff)
	}
	checkNothingLeft(t, server, dir)
}

func TestProcessIsAPod(t *testing.T) {
	t.Parallel()
	server := newFakeServer()
	p := server.process(t.TempDir(), "sh", "-c", "exit 0", "secret argument")
	p.Audiences = []string{"vault", "bank"}
	if code, err := p.Run(t.Context()); err != nil || code != 0 {
		t.Fatalf("Run = %d, %v", code, err)
	}
	actions := server.Actions()
	pod := actions[0].(clienttesting.CreateAction).GetObject().(*corev1.Pod)
	if !strings.HasPrefix(pod.Name, "sh-") || pod.Annotations[LeaseAnnotation] != pod.Name {
		t.Errorf("pod %q lives by lease %q", pod.Name, pod.Annotations[LeaseAnnotation])
	}
	if pod.Labels[RunLabel] != RunLabelValue {
		t.Errorf("the pod's labels are %v", pod.Labels)
	}
	want := corev1.PodSpec{
		NodeName: "ship", ServiceAccountName: "robot", RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{Name: "sh", Image: "sh"}},
	}
	if diff := cmp.Diff(want, pod.Spec); diff != "" {
		t.Error(diff)
	}
	if len(pod.OwnerReferences) != 0 {
		t.Errorf("the pod has owners: %v", pod.OwnerReferences)
	}
	lease := actions[1].(clienttesting.CreateAction).GetObject().(metav1.Object)
	owner := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: "uid-1"}}
	if diff := cmp.Diff(owner, lease.GetOwnerReferences()); diff != "" || lease.GetName() != pod.Name {
		t.Errorf("lease %q:\n%s", lease.GetName(), diff)
	}
	if lease.GetLabels()[RunLabel] != RunLabelValue {
		t.Errorf("the lease's labels are %v", lease.GetLabels())
	}
	request := actions[2].(clienttesting.CreateActionImpl)
	if request.Name != "robot" {
		t.Errorf("the token is that of %q", request.Name)
	}
	spec := request.GetObject().(*authenticationv1.TokenRequest).Spec
	if diff := cmp.Diff([]string{"vault", "bank"}, spec.Audiences); diff != "" {
		t.Error(diff)
	}
	if ref := spec.BoundObjectRef; ref.Kind != "Pod" || ref.Name != pod.Name || ref.UID != "uid-1" {
		t.Errorf("the token is bound to %v", ref)
	}
}

func TestCommandFindsItsIdentity(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	var out bytes.Buffer
	p := server.process(dir, "sh", "-c", `
		echo "$KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT $KEPT"
		stat -c '%a %F' "$(dirname $KUBECONFIG)" "$KUBECONFIG" "$(dirname $KUBECONFIG)/volume/..data/token"
		cat "$(dirname $KUBECONFIG)"/volume/*; echo; sed s,$(dirname $KUBECONFIG),DIR, $KUBECONFIG`)
	p.Env = []string{"PATH=" + os.Getenv("PATH"), "KEPT=kept", "KUBECONFIG=other"}
	p.Stdout, p.Stderr = &out, &out
	if code, err := p.Run(t.Context()); err != nil || code != 0 {
		t.Fatalf("Run = %d, %v\n%s", code, err, &out)
	}
	want := `muster.test 6443 kept
700 directory
600 regular file
600 regular file
the cluster's CA bundle
devtoken-1
apiVersion: v1
clusters:
- cluster:
    certificate-authority: DIR/volume/ca.crt
    server: https://muster.test:6443
  name: muster
contexts:
- context:
    cluster: muster
    namespace: dev
    user: muster
  name: muster
current-context: muster
kind: Config
users:
- name: muster
  user:
    tokenFile: DIR/volume/token
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// Each step fails once before and once after it took effect. The command must not run, and nothing may be left.
func TestBrokenStepLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	steps := []step{"folder", "pod", "lease", "volume", "kubeconfig", "start"}
	for _, broken := range steps {
		for _, effect := range []bool{false, true} {
			if broken == "start" && effect {
				continue // a command that has started is not a failure of the run
			}
			t.Run(fmt.Sprintf("%s effect=%v", broken, effect), func(t *testing.T) {
				t.Parallel()
				server, dir := newFakeServer(), t.TempDir()
				ran := filepath.Join(t.TempDir(), "ran")
				p := server.process(dir, "touch", ran)
				failure := errors.New("broken")
				p.around = func(name step, run func() error) error {
					if name != broken {
						return run()
					}
					if effect {
						if err := run(); err != nil {
							t.Error(err)
						}
					}
					return failure
				}
				if code, err := p.Run(t.Context()); !errors.Is(err, failure) {
					t.Errorf("Run = %d, %v", code, err)
				}
				if _, err := os.Stat(ran); err == nil {
					t.Error("the command ran")
				}
				checkNothingLeft(t, server, dir)
			})
		}
	}
	var ran []step
	p := newFakeServer().process(t.TempDir(), "true")
	p.around = func(name step, run func() error) error { ran = append(ran, name); return run() }
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(steps, ran); diff != "" {
		t.Errorf("the table's steps are not those of Run:\n%s", diff)
	}
}

// A request is refused, or done and its answer lost. Both end the run, and nothing may be left.
func TestFailedRequestLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"create pods", "create leases", "create serviceaccounts/token"} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s lost=%v", request, lost), func(t *testing.T) {
				t.Parallel()
				server, dir := newFakeServer(), t.TempDir()
				resource := schema.ParseGroupResource(strings.Fields(request)[1])
				failure := error(apierrors.NewForbidden(resource, "", errors.New("not for you")))
				if lost {
					failure = errors.New("connection reset")
					server.lose[request] = failure
				} else {
					server.refuse[request] = failure
				}
				code, err := server.process(dir, "true").Run(t.Context())
				if err == nil || !strings.HasSuffix(err.Error(), failure.Error()) {
					t.Errorf("Run = %d, %v; want the server's words, %q", code, err, failure)
				}
				checkNothingLeft(t, server, dir)
			})
		}
	}
}

func TestExistingPodOfThatNameIsLeftAlone(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "mine"}}
	if err := server.Tracker().Add(other); err != nil {
		t.Fatal(err)
	}
	p := server.process(dir, "true")
	p.PodName = "mine"
	if code, err := p.Run(t.Context()); !apierrors.IsAlreadyExists(err) {
		t.Errorf("Run = %d, %v", code, err)
	}
	if left := server.left(); left != "pod mine" {
		t.Errorf("left on the server: %s", left)
	}
}

func TestDrawnNameThatIsTakenIsDrawnAgain(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	tries := 0
	server.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		tries++
		return tries < 3, nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "pods"}, "x")
	})
	if code, err := server.process(dir, "true").Run(t.Context()); err != nil || code != 0 || tries != 3 {
		t.Errorf("Run = %d, %v after %d tries", code, err, tries)
	}
	checkNothingLeft(t, server, dir)
}

func TestUnknownCommandTouchesNoServer(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	if _, err := server.process(dir, "no-such-command").Run(t.Context()); err == nil {
		t.Error("Run found it")
	}
	if asked := server.asked(); len(asked) != 0 {
		t.Errorf("asked: %v", asked)
	}
}

func TestCommandThatCannotBeExecutedIsAnError(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("neither a program nor a script"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, err := server.process(dir, file).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "exec format error") {
		t.Errorf("Run = %d, %v", code, err)
	}
	checkNothingLeft(t, server, dir)
}

func TestSignalsReachTheCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		signal os.Signal
		code   int
	}{
		"handled":   {`trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done`, unix.SIGTERM, 7},
		"unhandled": {`echo ready; exec sleep 60`, unix.SIGHUP, 128 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, dir := newFakeServer(), t.TempDir()
			p := server.process(dir, "sh", "-c", test.script)
			signals := make(chan os.Signal, 1)
			p.Signals = signals
			p.Stdout = writerFunc(func([]byte) { signals <- test.signal })
			if code, err := p.Run(t.Context()); err != nil || code != test.code {
				t.Errorf("Run = %d, %v; want %d", code, err, test.code)
			}
			checkNothingLeft(t, server, dir)
		})
	}
}

func TestSignalBeforeTheStartEndsTheRun(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	ran := filepath.Join(t.TempDir(), "ran")
	p := server.process(dir, "touch", ran)
	signals := make(chan os.Signal)
	p.Signals = signals
	server.PrependReactor("create", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		signals <- unix.SIGWINCH // ends nothing
		signals <- unix.SIGINT
		return false, nil, nil
	})
	p.around = func(name step, run func() error) error {
		if name == "start" {
			time.Sleep(50 * time.Millisecond) // the relay has the signal; give it time to act
		}
		return run()
	}
	if code, err := p.Run(t.Context()); err != nil || code != 128+2 {
		t.Errorf("Run = %d, %v", code, err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the command ran")
	}
	checkNothingLeft(t, server, dir)
}

func TestEndOfContextEndsTheCommandAndLeavesNothing(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	p := server.process(dir, "sh", "-c", `echo ready; exec sleep 60`)
	p.Stdout = writerFunc(func([]byte) { cancel() })
	if code, err := p.Run(ctx); err != nil || code != 128+15 {
		t.Errorf("Run = %d, %v", code, err)
	}
	checkNothingLeft(t, server, dir)
}

func TestTroubleAtTheEndIsReportedAndKeepsTheExitCode(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	server.refuse["delete pods"] = apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("not for you"))
	var reported []string
	p := server.process(dir, "sh", "-c", "exit 4")
	p.Report = func(err error) { reported = append(reported, err.Error()) }
	if code, err := p.Run(t.Context()); err != nil || code != 4 {
		t.Errorf("Run = %d, %v", code, err)
	}
	if len(reported) == 0 || !strings.Contains(reported[len(reported)-1], "not for you") {
		t.Errorf("reported: %q", reported)
	}
}

func TestCommandsBecomeLabels(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"kubectl": "kubectl", "My_Tool.sh": "my-tool-s", "--": "process", "[": "process",
		"abcdefgh-x": "abcdefgh", "日本": "process",
	} {
		if got := labelOf(name, 9); got != want {
			t.Errorf("labelOf(%q) = %q, want %q", name, got, want)
		}
	}
}

type writerFunc func([]byte)

func (w writerFunc) Write(p []byte) (int, error) { w(p); return len(p), nil }
