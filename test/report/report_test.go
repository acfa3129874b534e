// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReportReadsLikeGoTest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		events string
		notes  []string
		want   string
	}{
		{
			name: "a passing package is one line",
			events: `
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestFine"}
{"Action":"output","Package":"m/a","Test":"TestFine","Output":"=== RUN   TestFine\n"}
{"Action":"output","Package":"m/a","Test":"TestFine","Output":"    a_test.go:3: hidden\n"}
{"Action":"output","Package":"m/a","Test":"TestFine","Output":"--- PASS: TestFine (0.00s)\n"}
{"Action":"pass","Package":"m/a","Test":"TestFine","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.018s\n"}
{"Action":"pass","Package":"m/a","Elapsed":0.018}`,
			want: "ok  \tm/a\t0.018s\n",
		},
		{
			name: "a package without tests is one line",
			events: `
{"Action":"output","Package":"m/d","Output":"?   \tm/d\t[no test files]\n"}
{"Action":"skip","Package":"m/d","Elapsed":0}`,
			want: "?   \tm/d\t[no test files]\n",
		},
		{
			name: "a failed test is printed in full and the results come again at the end",
			events: `
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"=== RUN   TestBad\n"}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"    b_test.go:3: wrong\n"}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"m/b","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"m/b","Output":"FAIL\n"}
{"Action":"output","Package":"m/b","Output":"FAIL\tm/b\t0.018s\n"}
{"Action":"fail","Package":"m/b","Elapsed":0.018}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t(cached)\n"}
{"Action":"pass","Package":"m/a","Elapsed":0}`,
			want: "    b_test.go:3: wrong\n--- FAIL: TestBad (0.00s)\nFAIL\nFAIL\tm/b\t0.018s\nok  \tm/a\t(cached)\n" +
				"FAIL\tm/b\t0.018s\nok  \tm/a\t(cached)\nFAIL\n",
		},
		{
			name: "a race is told of, whichever test had the floor",
			events: `
{"Action":"output","Package":"m/r","Test":"TestFine","Output":"WARNING: DATA RACE\n"}
{"Action":"output","Package":"m/r","Test":"TestFine","Output":"--- PASS: TestFine (0.00s)\n"}
{"Action":"pass","Package":"m/r","Test":"TestFine","Elapsed":0}
{"Action":"output","Package":"m/r","Output":"FAIL\tm/r\t0.018s\n"}
{"Action":"fail","Package":"m/r","Elapsed":0.018}`,
			want: "WARNING: DATA RACE\n--- PASS: TestFine (0.00s)\nFAIL\tm/r\t0.018s\nFAIL\tm/r\t0.018s\nFAIL\n",
		},
		{
			name: "what a test wrote that never ended is printed with its package's failure",
			events: `
{"Action":"output","Package":"m/e","Test":"TestHangs","Output":"=== RUN   TestHangs\n"}
{"Action":"output","Package":"m/e","Test":"TestHangs","Output":"    e_test.go:3: waiting\n"}
{"Action":"output","Package":"m/e","Output":"panic: test timed out\n"}
{"Action":"output","Package":"m/e","Output":"FAIL\tm/e\t0.112s\n"}
{"Action":"fail","Package":"m/e","Elapsed":0.112}`,
			want: "    e_test.go:3: waiting\npanic: test timed out\nFAIL\tm/e\t0.112s\nFAIL\tm/e\t0.112s\nFAIL\n",
		},
		{
			name: "the compiler is quoted",
			events: `
{"ImportPath":"m/c [m/c.test]","Action":"build-output","Output":"c/c_test.go:3:40: declared and not used: x\n"}
{"ImportPath":"m/c [m/c.test]","Action":"build-fail"}
{"Action":"output","Package":"m/c","Output":"FAIL\tm/c [build failed]\n"}
{"Action":"fail","Package":"m/c","Elapsed":0,"FailedBuild":"m/c [m/c.test]"}`,
			want: "c/c_test.go:3:40: declared and not used: x\nFAIL\tm/c [build failed]\nFAIL\tm/c [build failed]\nFAIL\n",
		},
		{
			name: "skipped tests are named with their reason, and the results come last",
			events: `
{"Action":"output","Package":"m/a","Test":"TestTool","Output":"=== RUN   TestTool\n"}
{"Action":"output","Package":"m/a","Test":"TestTool","Output":"    a_test.go:4: needs unshare\n"}
{"Action":"output","Package":"m/a","Test":"TestTool","Output":"--- SKIP: TestTool (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestTool","Elapsed":0}
{"Action":"output","Package":"m/a","Test":"TestMute","Output":"--- SKIP: TestMute (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestMute","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.018s\n"}
{"Action":"pass","Package":"m/a","Elapsed":0.018}`,
			notes: []string{"tested without the race detector"},
			want: "ok  \tm/a\t0.018s\n" +
				"--- SKIP: TestTool (m/a)\n    a_test.go:4: needs unshare\n" +
				"--- SKIP: TestMute (m/a)\n    without a reason\n" +
				"tested without the race detector\n" +
				"ok  \tm/a\t0.018s\n",
		},
		{
			name:   "a line that is no event is printed as it is",
			events: "loud program\n",
			want:   "loud program\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			report := newReport(&out)
			report.notes = test.notes
			if err := read(strings.NewReader(strings.TrimPrefix(test.events, "\n")), report); err != nil {
				t.Fatal(err)
			}
			report.finish()
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}
