package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/internal/certificates"
)

// replace writes a file again.
func replace(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// At each reading, the log names the keys that have changed and those that need a restart, until they are as they were at the
// start. A broken file changes nothing, and its problems are logged.
func TestReread(t *testing.T) {
	const app = "upstream-url: https://koodrive.test\nupstream-auth: app\napp-id: x\n"
	path := configure(t, app+"app-secret-file: app-secret\n")
	folder := filepath.Dir(path)
	replace(t, filepath.Join(folder, "next"), "geheim-2")
	to := &commands{}
	parser, err := newParser(to)
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse([]string{"serve", "--config=" + path, "--poll-max=20s"})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	level := &slog.LevelVar{}
	log := to.Serve.log(&text, level)
	p, files := &problems{}, &reload.Files{}
	if to.Serve.config(p, files, log); p.err() != nil {
		t.Fatal(p.err())
	}
	live := newLiveSettings(k, level, files, log)
	const reread = `"level":"INFO","msg":"configuration reread",`
	const broken = `"level":"ERROR","msg":"configuration is invalid, keeping the previous one","problems":`
	for _, step := range []struct {
		content, want string
		level         slog.Level
	}{
		{app + "app-secret-file: app-secret\n", reread + `"changed":[]}`, slog.LevelInfo},
		{app + "app-secret-file: app-secret\nlog-level: error", reread + `"changed":["log-level"]}`, slog.LevelError},
		{app + "app-secret-file: app-secret\nlog-level: debug\npoll-max: 30s", reread + `"changed":["log-level"]}`, slog.LevelDebug},
		{app + "app-secret-file: next\npoll-min: 2s\nconsole: false", reread + `"changed":["log-level"],"need_a_restart":["console","poll-min","app-secret-file"]}`, slog.LevelInfo},
		{app + "app-secret-file: next\nconsole: false", reread + `"changed":[],"need_a_restart":["console","app-secret-file"]}`, slog.LevelInfo},
		{app + "app-secret-file: next\n", reread + `"changed":["app-secret-file"]}`, slog.LevelInfo},
		{"foo: 1\npoll-min: 5\n", broken + `["FILE:1: foo: unknown key. Keys are the flags of kootask serve, without --","FILE:2: poll-min: must be a duration such as 2.5s"]}`, slog.LevelInfo},
		{app + "app-secret-file: missing\nlog-level: debug\nhttp-addr: nowhere", broken + `["FILE:4: app-secret-file: open FOLDER/missing: no such file or directory","FILE:6: http-addr: address nowhere: missing port in address"]}`, slog.LevelInfo},
		{app + "app-secret-file: next\n", reread + `"changed":[]}`, slog.LevelInfo},
	} {
		replace(t, path, step.content)
		text.Reset()
		live.reread(t.Context())
		log.Flush(time.Minute)
		want := strings.NewReplacer("FILE", path, "FOLDER", folder).Replace(step.want) + "\n"
		if got := text.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) || level.Level() != step.level {
			t.Errorf("after %q the level is %v, and it logs %swant %s", step.content, level.Level(), got, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	text.Reset()
	live.reread(t.Context())
	log.Flush(time.Minute)
	if want := broken + `["--config: open ` + path + `: no such file or directory"]}` + "\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("without the file it logs %s", text.String())
	}
}

// On SIGHUP, serve rereads its configuration: the log level and the names of other files, with the secret and the certificate,
// take effect. A broken file is logged while the service goes on.
func TestHangupRereadsTheConfiguration(t *testing.T) {
	t.Parallel()
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	ca := certificates.NewCA()
	first, next := ca.Server("127.0.0.1"), ca.Server("127.0.0.1", "next")
	files := func(secret string, certificate *certificates.Certificate) string {
		cert, key := certificate.WriteFiles(t.TempDir())
		return "tls-cert: " + cert + "\ntls-key: " + key + "\napp-secret-file: " + secret + "\n"
	}
	base := "upstream-allow-http: true\nupstream-url: " + koodrive + "\nupstream-auth: app\napp-id: " + demoApp + "\n"
	path := configure(t, base+files("app-secret", first))
	replace(t, filepath.Join(filepath.Dir(path), "next"), demoSecret)
	p := start(t, nil, append([]string{"serve", "--config=" + path}, anyPorts...)...)
	address := p.says(t, `"http":"([^"]+)"`)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true}}
	call := func() (status int, presented *x509.Certificate) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/v1/tasks/"+runningID+"?maxAge=0s", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User-Id", demoUser)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode, resp.TLS.PeerCertificates[0]
	}
	if status, presented := call(); status == http.StatusOK || !presented.Equal(first.TLS.Leaf) {
		t.Errorf("with the wrong secret: HTTP %d, from %s", status, presented.SerialNumber)
	}
	replace(t, path, base+files("next", next)+"log-level: debug\n")
	p.signal(t, syscall.SIGHUP)
	p.says(t, `"msg":"configuration reread","changed":\["log-level","app-secret-file","tls-cert","tls-key"\]`)
	p.says(t, `"msg":"rereading files","files":\["app-secret","tls"\]`)
	p.says(t, `"msg":"files reloaded","files":"app-secret"`)
	p.says(t, `"msg":"files reloaded","files":"tls"`)
	if status, presented := call(); status != http.StatusOK || !presented.Equal(next.TLS.Leaf) {
		t.Errorf("with the other files: HTTP %d, from %s", status, presented.SerialNumber)
	}
	p.says(t, `"level":"DEBUG","msg":"koodrive request"`)
	replace(t, path, "poll-min: 5\n")
	p.signal(t, syscall.SIGHUP)
	p.says(t, `"msg":"configuration is invalid, keeping the previous one","problems":\["`+regexp.QuoteMeta(path)+`:1: poll-min: must be a duration such as 2.5s"\]`)
	if status, _ := call(); status != http.StatusOK {
		t.Errorf("after a broken file: HTTP %d", status)
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v", state)
	}
}
