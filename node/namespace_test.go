// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	rootUID   = 0
	nobodyUID = 65534
)

// inVolume prints what an in-cluster client would find, and that it cannot change it.
const inVolume = `
	cd /var/run/secrets/kubernetes.io/serviceaccount || exit 1
	cat namespace token; echo; readlink token; id -u; ( : > x ) 2>/dev/null || echo read-only
	grep CapEff /proc/self/status`

func TestVolumeIsAtItsPathInAPrivateNamespace(t *testing.T) {
	needRoot(t)
	t.Parallel()
	for _, uid := range []int{rootUID, nobodyUID} {
		t.Run(fmt.Sprintf("uid %d", uid), func(t *testing.T) {
			t.Parallel()
			out := inside(t, uid, inVolume)
			capabilities := "CapEff:\t0000000000000000"
			if uid == rootUID {
				capabilities = capabilitiesHere(t)
			}
			want := fmt.Sprintf("devtoken-1\n..data/token\n%d\nread-only\n%s\n", uid, capabilities)
			if diff := cmp.Diff(want, out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func capabilitiesHere(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatal("no CapEff in /proc/self/status")
	return ""
}

// The way to the volume may have to be made; nothing of that may be seen outside, and all that lies beside it must
// still be the host's own.
func TestHostIsNotChangedAndStaysInSight(t *testing.T) {
	needRoot(t)
	t.Parallel()
	socket := filepath.Join("/run", fmt.Sprintf("muster-node-test-%d.sock", os.Getpid()))
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const list = `stat -c '%n %d %i %F' "$(readlink -f /var/run)"/* | grep -v -e '/secrets ' -e 'symbolic link'`
	host := func() []string {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", list).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(out), "\n")
	}
	for _, uid := range []int{rootUID, nobodyUID} {
		wayBefore, before := wayToVolume(t), host()
		seen := inside(t, uid, list)
		after := host()
		for _, entry := range before {
			if slices.Contains(after, entry) && !strings.Contains(seen, entry) {
				t.Errorf("uid %d does not see %s", uid, entry)
			}
		}
		if !strings.Contains(seen, socket) {
			t.Errorf("uid %d does not see the socket", uid)
		}
		if diff := cmp.Diff(wayBefore, wayToVolume(t)); diff != "" {
			t.Errorf("the run of uid %d changed the host:\n%s", uid, diff)
		}
	}
}

// wayToVolume is how much of the way to the volume exists on the host, and what is mounted along it.
func wayToVolume(t *testing.T) string {
	t.Helper()
	base, rest, err := deepest(mountPath)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	way := fmt.Sprintf("%s, then %s\n", base, rest)
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[4]; at == base || strings.Contains(at, "serviceaccount") || strings.Contains(line, "muster-run-") {
			way += line
		}
	}
	return way
}

func TestSwapsOfTheVolumeAreSeenInside(t *testing.T) {
	needRoot(t)
	t.Parallel()
	var out bytes.Buffer
	server := newFakeServer()
	p := server.process(t.TempDir(), "sh", "-c", `
		volume=/var/run/secrets/kubernetes.io/serviceaccount outside=$(dirname "$KUBECONFIG")/volume
		mkdir "$outside/..2026_08_01_12_00_00.1"; echo changed > "$outside/..2026_08_01_12_00_00.1/token"
		ln -s ..2026_08_01_12_00_00.1 "$outside/..data_tmp"; mv -T "$outside/..data_tmp" "$outside/..data"
		cat $volume/token`)
	p.Stdout, p.Stderr = &out, &out
	p.Report = func(err error) { t.Skip("needs private mount namespaces: ", err) }
	if code, err := p.Run(t.Context()); err != nil || code != 0 || out.String() != "changed\n" {
		t.Errorf("Run = %d, %v\n%s", code, err, &out)
	}
}

func TestWithoutNamespacesTheEnvironmentIsLeft(t *testing.T) {
	needRoot(t)
	t.Parallel()
	command := helper(t, rootUID, "sh", "-c", `sed -n 's/.*tokenFile: //p' "$KUBECONFIG" | xargs cat; exit 9`)
	command.Env = append(command.Env, noNamespacesVariable+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_RESOURCE}, // to set the limit
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if code := exitOf(t, command.Run()); code != 9 || stdout.String() != "token-1" {
		t.Errorf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	want := "report: no private mount namespace (fork/exec /proc/self/exe: no space left on device): the command finds its identity by its environment alone\n"
	if diff := cmp.Diff(want, stderr.String()); diff != "" {
		t.Error(diff)
	}
}

func TestKilledRunTakesTheCommandAlong(t *testing.T) {
	needRoot(t)
	t.Parallel()
	for _, uid := range []int{rootUID, nobodyUID} {
		t.Run(fmt.Sprintf("uid %d", uid), func(t *testing.T) {
			t.Parallel()
			command := helper(t, uid, "sh", "-c", `echo $$; exec sleep 60`)
			stdout, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			if _, err := fmt.Fscan(bufio.NewReader(stdout), &pid); err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(pid, 0); err != nil {
				t.Fatalf("the command is not there: %v", err)
			}
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			command.Wait()
			for deadline := time.Now().Add(never); alive(pid); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the command lives on")
				}
			}
		})
	}
}

// alive reports whether the process runs; one that nobody has waited for yet does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// A shell gets its terminal back when the command stops, and both go on when it continues them.
func TestJobControlPassesThrough(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	job := helper(t, os.Geteuid())
	shell := exec.CommandContext(t.Context(), "sh", "-c", `set -m
		"$0" sh -c 'echo ready; read line; echo "got $line"; exit 5'
		echo "shell again"; read line; echo "shell got $line"
		fg >/dev/null; echo "exit code $?"`, self)
	shell.Env = job.Env
	terminal := onTerminal(t, shell)
	for _, talk := range []struct{ heard, said string }{
		{"ready", "\x1a"}, // Ctrl-Z
		{"shell again", "one\n"},
		{"shell got one", "two\n"},
		{"got two", ""},
		{"exit code 5", ""},
	} {
		waitFor(t, terminal, talk.heard)
		if _, err := terminal.WriteString(talk.said); err != nil {
			t.Fatal(err)
		}
	}
	if err := shell.Wait(); err != nil {
		t.Error(err)
	}
}

func TestCtrlCReachesTheCommandOnce(t *testing.T) {
	t.Parallel()
	command := helper(t, os.Geteuid(), "sh", "-c",
		`n=0; trap 'n=$((n+1))' INT; echo ready; i=0; while [ $i -lt 50 ]; do sleep 0.02; i=$((i+1)); done; exit $((40+n))`)
	terminal := onTerminal(t, command)
	waitFor(t, terminal, "ready")
	if _, err := terminal.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, command.Wait()); code != 41 {
		t.Errorf("exit code %d, want 40 plus one interrupt", code)
	}
}

// onTerminal starts command as the leader of a session on a new terminal, of which it returns the other end.
func onTerminal(t *testing.T, command *exec.Cmd) *os.File {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { near.Close() })
	number, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudo terminal: %v", err)
	}
	defer far.Close()
	command.Stdin, command.Stdout, command.Stderr = far, far, far
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return near
}

// never is long enough for the busiest machine: a machine that links a dozen programs has needed ten seconds for two
// that take one.
const never = time.Minute

// waitFor reads from the terminal until it has shown text.
func waitFor(t *testing.T, terminal *os.File, text string) {
	t.Helper()
	var seen []byte
	for one := make([]byte, 1); !bytes.Contains(seen, []byte(text)); {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(terminal.Fd()), Events: unix.POLLIN}}, int(never.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if ready != 1 {
			t.Fatalf("%q was not shown: %v\n%s\n%s", text, err, seen, offspring(os.Getpid()))
		}
		n, err := terminal.Read(one)
		seen = append(seen, one[:n]...)
		if err != nil {
			t.Fatalf("%v before %q was shown:\n%s", err, text, seen)
		}
	}
}

// offspring tells what the processes below one are doing, for the failure of a test that waits for them in vain.
func offspring(parent int) string {
	var told strings.Builder
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, path := range children {
		pids, _ := os.ReadFile(path)
		for _, pid := range strings.Fields(string(pids)) {
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			state, _ := os.ReadFile("/proc/" + pid + "/stat")
			stack, _ := os.ReadFile("/proc/" + pid + "/stack")
			fmt.Fprintf(&told, "%q\n%s%s\n", command, state, stack)
			if number, err := strconv.Atoi(pid); err == nil {
				told.WriteString(offspring(number))
			}
		}
	}
	return told.String()
}
