package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "net/http/pprof"
)

// Memory that the program has freed does not count, even while Go still keeps it.
func TestMemoryIsUsedMemory(t *testing.T) {
	server := httptest.NewServer(http.DefaultServeMux)
	defer server.Close()
	self := &process{name: "self", command: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}, profiles: strings.TrimPrefix(server.URL, "http://")}
	measure := func() float64 {
		bytes, err := self.memory()
		if err != nil {
			t.Fatal(err)
		}
		return bytes / (1 << 20)
	}
	before := measure()
	const mib = 64
	used := make([][]byte, mib)
	for i := range used {
		used[i] = make([]byte, 1<<20)
		for j := 0; j < len(used[i]); j += 1024 {
			used[i][j] = 1
		}
	}
	during := measure()
	for i := range used {
		used[i] = nil
	}
	after := measure()
	if during-before < mib-8 || after-before > 8 {
		t.Errorf("%.0f MiB before, %.0f with %d MiB in use, %.0f after", before, during, mib, after)
	}
	if self.cpu() == 0 {
		t.Error("no CPU time")
	}
}
