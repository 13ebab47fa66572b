package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/internal/certificates"
)

// fileFlag is a flag that names a file with security material.
type fileFlag struct {
	name string // Without its dashes.
	good []byte
	args []string // The command, and its other arguments.
}

// fileFlags are all flags that name a file, with a valid content of each. Only secrets contain "geheim".
func fileFlags(t *testing.T) []fileFlag {
	t.Helper()
	dir := t.TempDir()
	own := serverAuthority.Server("127.0.0.1")
	cert, key := own.WriteFiles(dir)
	bundle := append(serverAuthority.PEM(), clientAuthority.PEM()...)
	chain := append(bytes.Clone(own.CertPEM), serverAuthority.PEM()...)
	with := func(args []string, more ...string) []string { return append(args[:len(args):len(args)], more...) }
	serve := []string{"serve", "--check", "--upstream-url=https://koodrive.test"}
	app := with(serve, "--upstream-auth=app", "--app-id=x")
	issuer := []string{"--oidc-issuer=https://issuer.example", "--oidc-audience=kootask"}
	secret := "--app-secret-file=" + file(t, "geheim")
	policy := []byte("callers:\n- claims: {sub: alice}\n  users: ['1']\n- claims: {sub: bob}\n  users: ['2']\n")
	client := []string{"get", "9", "--addr=127.0.0.1:1"} // Nothing listens there: the flags are valid then.
	return []fileFlag{
		{"upstream-ca", bundle, serve},
		{"tls-cert", chain, with(serve, "--tls-key="+key)},
		{"tls-key", own.KeyPEM, with(serve, "--tls-cert="+cert)},
		{"tls-client-ca", bundle, with(serve, "--tls-cert="+cert, "--tls-key="+key, "--tls-client-san=*")},
		{"oidc-ca", bundle, with(serve, issuer...)},
		{"app-secret-file", []byte("geheim\n"), app},
		{"policy-file", policy, with(app, append(issuer, secret)...)},
		{"ca", bundle, client},
		{"cert", chain, with(client, "--key="+key)},
		{"key", own.KeyPEM, with(client, "--cert="+cert)},
		{"token-file", []byte("geheim\n"), client},
		{"caller-token-file", []byte("geheim\n"), client},
	}
}

// utf16 encodes an ASCII text as Windows does.
func utf16(text []byte) string {
	all := []byte("\xff\xfe")
	for _, b := range text {
		all = append(all, b, 0)
	}
	return string(all)
}

// A file with security material is read completely, or refused with its name; errors do not quote it.
func TestDamagedFiles(t *testing.T) {
	for _, f := range fileFlags(t) {
		isPEM := bytes.HasPrefix(f.good, []byte("-----"))
		good, yaml := string(f.good), f.name == "policy-file"
		type row struct {
			text     string
			accepted bool
		}
		rows := map[string]row{
			"good":                  {good, true},
			"a byte order mark":     {"\ufeff" + good, true},
			"CR LF":                 {strings.ReplaceAll(good, "\n", "\r\n"), true},
			"UTF-16":                {utf16(f.good), yaml}, // YAML may be.
			"UTF-16 without a mark": {utf16(f.good)[2:], false},
			"NUL":                   {good + "\x00", false},
			"empty":                 {"", false},
			"blank":                 {" \r\n", false},
		}
		if isPEM {
			rows["cut off"] = row{good[:len(good)-20], false}
			rows["damaged at its end"] = row{good[:len(good)-100] + "!" + good[len(good)-99:], false}
			rows["something else beside it"] = row{good + "-----BEGIN GEHEIM-----\nZ2VoZWlt\n-----END GEHEIM-----\n", false}
		} else if !yaml {
			rows["a no-break space"] = row{strings.TrimSpace(good) + "\u00a0\n", false}
			rows["a zero-width space"] = row{"\u200b" + good, false}
		}
		for name, row := range rows {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				path := file(t, row.text)
				code, _, stderr := ask(t, append(f.args[:len(f.args):len(f.args)], "--"+f.name+"="+path)...)
				if (code != exitUsage) != row.accepted {
					t.Errorf("exit %d: %s", code, stderr)
				}
				if !row.accepted && (strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, path)) || strings.Contains(strings.ToLower(stderr), "geheim") {
					t.Error(stderr)
				}
			})
		}
	}
}

// fifo replaces a file by a named pipe without a writer.
func fifo(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path+".pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".pipe", path); err != nil {
		t.Fatal(err)
	}
}

// A file that hangs is reported with its name, after a while: at the start, by --check, and by a client.
func TestFilesThatHangAtTheStart(t *testing.T) {
	t.Parallel()
	cert, key := serverAuthority.Server("127.0.0.1").WriteFiles(t.TempDir())
	flags := append(fileFlags(t), fileFlag{
		"tls-client-ca", nil, append([]string{"serve", "--upstream-url=https://koodrive.test", "--tls-cert=" + cert, "--tls-key=" + key, "--tls-client-san=*"}, anyPorts...),
	})
	started := map[string]*process{} // By the expected text.
	for i, f := range flags {
		path := file(t, "")
		fifo(t, path)
		flag := f.name
		if strings.HasPrefix(flag, "tls-") {
			flag = "tls-cert" // They are read together.
		}
		want := fmt.Sprintf("kootask: --%s: reading %s takes longer than %v\n", flag, path, credfile.Patience)
		started[want] = start(t, nil, append(flags[i].args[:len(f.args):len(f.args)], "--"+f.name+"="+path)...)
	}
	for want, p := range started {
		if state, said := p.ends(t, time.Minute), p.stderr.String(); state.ExitCode() != exitUsage || said != want {
			t.Errorf("%v: %q, want %q", state, said, want)
		}
	}
}

// A file that hangs while kootask runs delays neither calls nor watches, nor other files, nor the end.
func TestFileThatHangsMeanwhile(t *testing.T) {
	t.Parallel()
	const grace = 10 * time.Second
	ca, dir := certificates.NewCA(), t.TempDir()
	cert, key := ca.Server("127.0.0.1").WriteFiles(dir)
	secret := file(t, demoSecret)
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	p := start(t, nil, "serve", "--upstream-allow-http", "--upstream-url="+koodrive, "--tls-cert="+cert, "--tls-key="+key, "--upstream-auth=app",
		"--app-id="+demoApp, "--app-secret-file="+secret, fmt.Sprint("--shutdown-grace=", grace), anyPorts[0], anyPorts[1], "--admin-addr=127.0.0.1:0")
	base, admin := "https://"+p.says(t, `"http":"([^"]+)"`)+"/v1/tasks/", "http://"+p.says(t, `"admin":"([^"]+)"`)+"/metrics"
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true}}
	get := func(url string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User-Id", demoUser)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: HTTP %d", url, resp.StatusCode)
		}
		return resp
	}
	watch := get(base + runningID + ":watch")
	defer watch.Body.Close()
	fifo(t, secret)
	next := ca.Server("127.0.0.1", "next")
	next.WriteFiles(dir)
	await(t, p.ended, func() bool {
		resp := get(admin)
		defer resp.Body.Close()
		metrics, _ := io.ReadAll(resp.Body)
		return bytes.Contains(metrics, []byte(`kootask_files_failed{files="app-secret"} 1`)) &&
			bytes.Contains(metrics, []byte(`kootask_files_reloads_total{files="tls"} 1`))
	})
	if said := p.stderr.String(); !strings.Contains(said, "reading "+secret+" takes longer than") {
		t.Errorf("the log does not name the file:\n%s", said)
	}
	call := get(base + runningID + "?maxAge=0s")
	_ = call.Body.Close()
	if !call.TLS.PeerCertificates[0].Equal(next.TLS.Leaf) {
		t.Error("the certificate is the old one")
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, grace); !state.Success() {
		t.Errorf("it ended with %v", state)
	}
	if lines, err := io.ReadAll(watch.Body); err != nil || !bytes.Contains(lines, []byte("SERVER_DRAINING")) {
		t.Errorf("the watch ended with %v:\n%s", err, lines)
	}
}
