package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/kootask/kootask/internal/certificates"
)

// get and watch against servers with various kinds of security, with the errors for the others.
func TestSecurity(t *testing.T) {
	port := func(config *tls.Config) string { return "127.0.0.1:" + new(double).serve(t, config) }
	good, plain, mutual12, mutual13 := presents(serverAuthority.Server("127.0.0.1")), port(nil), port(mutual(tls.VersionTLS12)), port(mutual(0))
	secure, named := port(good), port(presents(serverAuthority.Server("kootask.example")))
	expired := port(presents(serverAuthority.Issue(certificates.Spec{SANs: []string{"IP:127.0.0.1"}, NotAfter: time.Now().Add(-time.Minute)})))
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.TLS, web.Config.ErrorLog = good.Clone(), log.New(io.Discard, "", 0)
	web.StartTLS()
	defer web.Close()
	ca := "--ca=" + serverAuthority.WriteFile(t.TempDir())
	client := withClient(t, clientAuthority.Client("DNS:orders.example"))
	otherClient := withClient(t, certificates.NewCA().Client("DNS:orders.example"))
	noClient := withClient(t, clientAuthority.Issue(certificates.Spec{
		SANs: []string{"DNS:orders.example"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}))
	for name, row := range map[string]struct {
		addr  string
		flags []string
		want  string // SUCCESS, or the error about the address.
	}{
		"plaintext":                           {plain, nil, "SUCCESS"},
		"TLS":                                 {secure, []string{ca}, "SUCCESS"},
		"TLS twice":                           {secure, []string{"--tls", ca}, "SUCCESS"},
		"mTLS":                                {mutual13, append(client, ca), "SUCCESS"},
		"mTLS over TLS 1.2":                   {mutual12, append(client, ca), "SUCCESS"},
		"a client certificate for nothing":    {secure, append(client, ca), "SUCCESS"},
		"the system's roots":                  {secure, []string{"--tls"}, "has a certificate that is not trusted: name its authority with --ca: "},
		"a client certificate alone":          {mutual13, client, "has a certificate that is not trusted: name its authority with --ca: "},
		"another authority":                   {secure, []string{"--ca=" + clientAuthority.WriteFile(t.TempDir())}, "has a certificate that is not trusted"},
		"another name":                        {named, []string{ca}, "has a certificate for another name: --addr must be a name in it: "},
		"expired":                             {expired, []string{ca}, "has an invalid certificate: "},
		"TLS to a plaintext port":             {plain, []string{ca}, "does not speak TLS: "},
		"plaintext where there is TLS":        {secure, nil, "speaks TLS, and this is plaintext: set --tls or --ca: "},
		"plaintext where there is mTLS":       {mutual12, nil, "speaks TLS, and this is plaintext: set --tls or --ca: "},
		"no client certificate":               {mutual13, []string{ca}, "requires a client certificate: set --cert and --key: "},
		"no client certificate over TLS 1.2":  {mutual12, []string{ca}, "requires a client certificate: set --cert and --key: "},
		"another authority's client":          {mutual13, append(otherClient, ca), "refuses the client certificate of --cert: "},
		"another authority's over TLS 1.2":    {mutual12, append(otherClient, ca), "refuses the client certificate of --cert: "},
		"a server's certificate for a client": {mutual13, append(noClient, ca), "refuses the client certificate of --cert: "},
		"no HTTP/2":                           {web.Listener.Addr().String(), []string{ca}, "does not speak TLS as this client does: "},
		"a peer that says nothing":            {hangsUp(t), []string{ca}, "does not answer as kootask does: "},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"get", "watch"} {
				code, want := exitOK, row.want
				if want != "SUCCESS" {
					code, want = exitError, row.addr+" "+want
				}
				got, stdout, stderr := ask(t, append([]string{command, "9", "--addr=" + row.addr}, row.flags...)...)
				if got != code || !strings.Contains(stdout+stderr, want) {
					t.Errorf("%s: exit %d, want %d and %q:\n%s%s", command, got, code, want, stdout, stderr)
				}
			}
		})
	}
	if code, stdout, stderr := ask(t, "get", "9", "--addr=127.0.0.1:1", ca); code != exitError || !strings.Contains(stderr, "kootask does not answer: ") {
		t.Errorf("nobody: exit %d: %s%s", code, stdout, stderr)
	}
}

// Old TLS is refused, whatever the server would accept.
func TestOldTLSIsRefused(t *testing.T) {
	config := presents(serverAuthority.Server("127.0.0.1"))
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	addr := "127.0.0.1:" + new(double).serve(t, config)
	code, _, stderr := ask(t, "get", "9", "--addr="+addr, "--ca="+serverAuthority.WriteFile(t.TempDir()))
	if code != exitError || !strings.Contains(stderr, addr+" does not speak TLS as this client does: ") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// An address beyond loopback gets nothing in plaintext without a flag, even if a name hides it; 0.0.0.0 counts as this machine.
func TestPlaintextBeyondLoopback(t *testing.T) {
	t.Setenv(tokenVariable, demoToken)
	t.Setenv("KOOTASK_ALLOW_PLAINTEXT", "true") // It is serve's.
	for _, command := range []string{"get", "watch"} {
		d := &double{}
		port := d.serve(t, nil)
		args := []string{command, "9", "--addr=0.0.0.0:" + port}
		code, stdout, stderr := ask(t, args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, "--addr: ") || !strings.Contains(stderr, "--tls, or --allow-plaintext") {
			t.Errorf("%s: exit %d: %s%s", command, code, stdout, stderr)
		}
		if d.mu.Lock(); d.dialled != 0 {
			t.Errorf("%s: %d connections", command, d.dialled)
		}
		d.mu.Unlock()
		for _, allowed := range [][]string{append(args, "--allow-plaintext"), {command, "9", "--addr=:" + port}, {command, "9", "--addr=localhost:" + port}} {
			if code, stdout, stderr := ask(t, allowed...); code != exitOK || !strings.Contains(stdout, "SUCCESS") {
				t.Errorf("%q: exit %d: %s%s", allowed, code, stdout, stderr)
			}
		}
	}
}

// All faults of the flags are reported at once, and no report quotes a key or token.
func TestSecurityFlags(t *testing.T) {
	const secret = "c2VjcmV0"
	cert, key := clientAuthority.Client("DNS:orders.example").WriteFiles(t.TempDir())
	_, otherKey := clientAuthority.Client("DNS:orders.example").WriteFiles(t.TempDir())
	missing := filepath.Join(t.TempDir(), "missing")
	garbage := file(t, "-----BEGIN PRIVATE KEY-----\n"+secret+"\n-----END PRIVATE KEY-----\n")
	encrypted := file(t, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"+secret+"\n-----END ENCRYPTED PRIVATE KEY-----\n")
	text := file(t, secret)
	for name, row := range map[string]struct {
		flags []string
		want  []string // Texts of the lines.
	}{
		"plaintext":           {[]string{"--addr=kootask.example:1"}, []string{"--addr: credentials would travel unencrypted. Set --tls, or --allow-plaintext"}},
		"an address":          {[]string{"--addr=192.0.2.1:1"}, []string{"--addr: credentials would"}},
		"IPv6":                {[]string{"--addr=[2001:db8::1]:1"}, []string{"--addr: credentials would"}},
		"both":                {[]string{"--allow-plaintext", "--tls"}, []string{"--allow-plaintext: cannot be combined with --tls, --ca, --cert or --key"}},
		"implied":             {[]string{"--allow-plaintext", "--ca=" + cert}, []string{"--allow-plaintext: cannot be combined"}},
		"no key":              {[]string{"--cert=" + cert}, []string{"--cert: requires --key"}},
		"no certificate":      {[]string{"--key=" + key}, []string{"--key: requires --cert"}},
		"missing files":       {[]string{"--ca=" + missing, "--cert=" + missing, "--key=" + missing}, []string{"--ca: open " + missing, "--cert: open " + missing, "--key: open " + missing}},
		"garbage":             {[]string{"--ca=" + text, "--cert=" + text, "--key=" + text}, []string{"--ca: " + text + " contains no certificate", "--cert: " + text + " contains no certificate", "--key: " + text + " contains no private key"}},
		"a key as authority":  {[]string{"--ca=" + key}, []string{"--ca: " + key + ", line 1, has something other than a certificate"}},
		"a broken key":        {[]string{"--cert=" + cert, "--key=" + garbage}, []string{"--key: " + garbage + ", line 1, has a private key that cannot be read"}},
		"an encrypted key":    {[]string{"--cert=" + cert, "--key=" + encrypted}, []string{"--key: " + encrypted + ", line 1, has an encrypted private key"}},
		"exchanged":           {[]string{"--cert=" + key, "--key=" + cert}, []string{"--cert: " + key + " contains no certificate", "--key: " + cert + " contains no private key"}},
		"a cut token":         {[]string{"--token-file=" + file(t, secret+"\x00")}, []string{"is UTF-16 or binary"}},
		"another's key":       {[]string{"--cert=" + cert, "--key=" + otherKey}, []string{"--key: " + otherKey + " does not hold the private key of the certificate in " + cert}},
		"no token file":       {[]string{"--caller-token-file=" + missing}, []string{"--caller-token-file: open " + missing}},
		"an empty token file": {[]string{"--caller-token-file=" + file(t, " \n")}, []string{" is empty"}},
		"no token":            {[]string{"--caller-token-file=" + file(t, secret+" "+secret)}, []string{" does not contain a token: it must be visible ASCII"}},
		"two lines":           {[]string{"--caller-token-file=" + file(t, secret+"\n"+secret)}, []string{" has more than one line"}},
		"Bearer alone":        {[]string{"--caller-token-file=" + file(t, "bearer \n")}, []string{" does not contain a token: it must be visible ASCII"}},
		"a long token":        {[]string{"--caller-token-file=" + file(t, secret+strings.Repeat("x", maxCallerToken))}, []string{" does not contain a token: it must be visible ASCII without spaces, at most 16 KiB"}},
		"everything": {
			[]string{"--addr=nowhere", "--allow-plaintext", "--ca=" + missing, "--cert=" + cert, "--caller-token-file=" + missing, "--token-file=" + missing},
			[]string{"--addr: must be HOST:PORT", "--allow-plaintext: ", "--ca: ", "--cert: ", "--caller-token-file: ", "--token-file: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"get", "watch"} {
				code, stdout, stderr := ask(t, append([]string{command, "9"}, row.flags...)...)
				lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
				if code != exitUsage || stdout != "" || len(lines) != len(row.want) || strings.Contains(stderr, secret) {
					t.Fatalf("%s: exit %d, %d lines:\n%s%s", command, code, len(lines), stdout, stderr)
				}
				for i, want := range row.want {
					if !strings.HasPrefix(lines[i], "kootask: ") || !strings.Contains(lines[i], want) {
						t.Errorf("%s: line %q lacks %q", command, lines[i], want)
					}
				}
			}
		})
	}
}

// A variable that is set for a server in the same environment does not affect clients.
func TestClientsVariablesAreNotTheServers(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.DefaultEnvars("KOOTASK"))
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string][]string{}
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			variables[command.Name] = append(variables[command.Name], flag.Envs...)
		}
	}
	for _, command := range []string{"get", "watch"} {
		if len(variables[command]) < 10 || len(variables["serve"]) < 10 {
			t.Fatalf("variables %q", variables)
		}
		for _, name := range variables[command] {
			if slices.Contains(variables["serve"], name) {
				t.Errorf("%s is read by %s and by serve", name, command)
			}
		}
	}
}
