package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Each problem of a dialect is a line with the file, the line and the key, whichever command reads it. Nothing starts.
func TestBrokenDialects(t *testing.T) {
	text, err := os.ReadFile("../../dialect/testdata/broken.json")
	if err != nil {
		t.Fatal(err)
	}
	var broken map[string]string // The problems, by the overlay.
	if err := json.Unmarshal(text, &broken); err != nil {
		t.Fatal(err)
	}
	for overlay, problems := range broken {
		path := file(t, overlay)
		for _, args := range [][]string{
			{"serve", "--upstream-url=https://koodrive.test", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=", "--upstream-dialect=" + path},
			{"serve", "--check", "--upstream-url=https://koodrive.test", "--upstream-dialect=" + path},
			{"simulate", "--addr=127.0.0.1:0", "--dialect=" + path},
		} {
			code, stdout, stderr := ask(t, args...)
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if code != exitUsage || stdout != "" || len(lines) != strings.Count(problems, "\n")+1 {
				t.Errorf("%s of %q: exit %d, %s%s", args[:2], overlay, code, stdout, stderr)
				continue
			}
			for i, problem := range strings.Split(problems, "\n") {
				if !strings.Contains(lines[i], "dialect: "+path+":"+problem) {
					t.Errorf("%s of %q: %s, want %s", args[:2], overlay, lines[i], problem)
				}
			}
		}
	}
	if code, _, stderr := ask(t, "serve", "--check", "--upstream-url=https://koodrive.test", "--upstream-dialect=/missing.yaml"); code != exitUsage || !strings.Contains(stderr, "--upstream-dialect: ") {
		t.Errorf("a missing file: exit %d, %s", code, stderr)
	}
}

// The stand-in and the service speak what one file says. SIGHUP does not read it again, and says so.
func TestSpokenDialect(t *testing.T) {
	path := file(t, "token: {prefix: \"Bearer+\"}\n")
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0", "--dialect="+path, "--script=../../docs/simulate/lifecycle.json").says(t, `(http://[^\s,]+)`)
	serve := []string{"serve", "--upstream-url=" + koodrive, "--upstream-allow-http", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr="}
	for _, row := range []struct {
		args []string
		want int
	}{{serve, http.StatusUnauthorized}, {append(serve, "--upstream-dialect="+path), http.StatusOK}} {
		p := start(t, nil, row.args...)
		url := p.says(t, `"http":"([^"]+)"`)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+url+"/v1/tasks/1534087020903705001", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ci-token")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != row.want {
			t.Errorf("%q: %d, want %d", row.args, resp.StatusCode, row.want)
		}
		if row.want == http.StatusOK {
			p.signal(t, syscall.SIGHUP)
			p.says(t, `"msg":"rereading files","files":\[\],"need_a_restart":\["upstream-dialect"\]`)
		}
	}
}
