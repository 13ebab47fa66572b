package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/internal/version"
)

// The version that make stamps is in the outputs of the command and in the metrics.
func TestVersionOfTheProgram(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		p := start(t, []string{"KOOTASK_VERSION=of something else"}, arg)
		if state := p.ends(t, time.Minute); state.ExitCode() != exitOK || !strings.HasPrefix(p.stdout.String(), "kootask "+madeVersion+" ") || p.stderr.String() != "" {
			t.Errorf("%s: %v, %s%s", arg, state, &p.stdout, &p.stderr)
		}
	}
	admin := start(t, nil, "demo", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0").says(t, `admin +(127\.0\.0\.1:\d+)`)
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), `version="`+madeVersion+`"} 1`) {
		t.Errorf("%v, kootask_build_info has another version:\n%s", err, text)
	}
}

// The command names itself and its version to kootask.
func TestUserAgentOfTheCommand(t *testing.T) {
	d := &double{}
	if code, _, stderr := ask(t, "get", "--addr=127.0.0.1:"+d.serve(t, nil), finishedID); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if got := d.headers[0].Get("user-agent"); len(got) != 1 || !strings.HasPrefix(got[0], "kootask/"+version.String()+" kootask-go ") {
		t.Errorf("user agent %q", got)
	}
}
