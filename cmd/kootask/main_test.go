package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ask runs kootask as a user would, and returns its output.
func ask(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// file returns the path of a new file with this content.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag that does not parse is reported alone, all other faults together; nothing starts, and the exit code is 2.
func TestBadFlags(t *testing.T) {
	const url = "--upstream-url=https://koodrive.test"
	missing := filepath.Join(t.TempDir(), "missing")
	for name, row := range map[string]struct {
		args []string
		want []string // Texts of the lines.
	}{
		"unknown command":    {[]string{"srve"}, []string{"unexpected argument srve"}},
		"unknown flag":       {[]string{"serve", "--upstream"}, []string{"unknown flag --upstream"}},
		"bad duration":       {[]string{"serve", "--poll-min=soon", "--grpc-addr=nonsense"}, []string{"--poll-min"}},
		"bad bool":           {[]string{"serve", "--reflection=perhaps"}, []string{"--reflection"}},
		"bad mode":           {[]string{"serve", "--upstream-auth=both"}, []string{"--upstream-auth"}},
		"bad level":          {[]string{"serve", url, "--log-level=loud"}, []string{"--log-level"}},
		"bad format":         {[]string{"serve", url, "--log-format=xml"}, []string{"--log-format"}},
		"no KooDrive":        {[]string{"serve", "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr="}, []string{"--upstream-url: KooDrive's URL is missing"}},
		"plaintext KooDrive": {[]string{"demo", "--upstream-url=http://x"}, []string{"unknown flag --upstream-url"}},
		"simulate":           {[]string{"simulate", "--addr=nowhere"}, []string{"--addr: address nowhere: missing port"}},
		"no script":          {[]string{"simulate", "--addr=127.0.0.1:0", "--script=" + missing}, []string{"--script: open"}},
		"bad script": {
			[]string{"simulate", "--addr=127.0.0.1:0", "--script=" + file(t, "{\n\"tasks\": [{\"id\": \"9\", \"steps\": [{\"for\": \"soon\"}]}]\n}")},
			[]string{"line 2: /tasks/0/steps/0/for: "},
		},
		"demo":  {[]string{"demo", "--poll-max=1ms", "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=", "--cors-origin=localhost"}, []string{"--poll-max: ", "--cors-origin: must be an origin"}},
		"check": {[]string{"serve", "--check", "--upstream-url=http://x", "--http-addr=127.0.0.1:http-not", "--stale-after=20s"}, []string{"--upstream-url: ", "--stale-after: must be at least", "--http-addr: "}},
		"everything": {
			[]string{
				"serve", "--upstream-url=http://koodrive.test", "--upstream-ca=" + missing, "--upstream-proxy=proxy", "--grpc-addr=1:2:3",
				"--http-addr=127.0.0.1:http-not", "--admin-addr=nowhere", "--heartbeat=16s", "--poll-min=20s", "--poll-backoff-max=1s",
				"--upstream-timeout=0s", "--shutdown-grace=-1s", "--shutdown-delay=-1s", "--app-id=x",
			},
			[]string{
				"--upstream-ca: ", "--upstream-proxy: ", "--upstream-url: ", "--app-id: requires", "--upstream-timeout: ", "--heartbeat: ",
				"--shutdown-grace: ", "--poll-max: ", "--poll-backoff-max: ", "--shutdown-delay: ", "--grpc-addr: ", "--http-addr: ", "--admin-addr: ",
			},
		},
		"no certificate": {
			[]string{"serve", url, "--upstream-ca=" + file(t, "nonsense"), "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr="},
			[]string{"contains no certificate"},
		},
		"app mode beyond loopback": {
			[]string{"serve", url, "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim"), "--http-addr=0.0.0.0:0", "--grpc-addr=:0", "--admin-addr="},
			[]string{
				"--grpc-addr: must be a loopback address without --tls-cert", "--http-addr: must be a loopback address without --tls-cert",
				"--grpc-addr: must be a loopback address with --upstream-auth=app", "--http-addr: must be a loopback address with --upstream-auth=app",
			},
		},
		"app mode beyond loopback, behind something": {
			[]string{"serve", url, "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim"), "--allow-plaintext", "--grpc-addr=:0", "--check"},
			[]string{"--grpc-addr: must be a loopback address with --upstream-auth=app"},
		},
		"the demonstration as an app, beyond loopback": {
			[]string{"demo", "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim"), "--grpc-addr=:0", "--http-addr=127.0.0.1:0", "--admin-addr="},
			[]string{"--grpc-addr: must be a loopback address in the demonstration"},
		},
		"plaintext beyond loopback": {
			[]string{"serve", url, "--http-addr=0.0.0.0:0", "--grpc-addr=[::]:0", "--check"},
			[]string{"--grpc-addr: must be a loopback address without --tls-cert", "--http-addr: must be a loopback address without --tls-cert"},
		},
		"callers' flags apart": {
			[]string{
				"serve", url, "--check", "--tls-client-ca=" + missing, "--tls-key=" + missing, "--oidc-audience=kootask", "--policy-file=" + missing,
				"--trusted-hops=11", "--failed-per-peer=0", "--cors-origin=*,https://good.example/", "--oidc-header=authorization",
			},
			[]string{
				"--tls-key: must be set together", "--tls-client-ca: requires", "--tls-client-san: must be set together", "--oidc-audience: must be set together",
				"--oidc-header: requires", "--oidc-header: authorization requires", "--policy-file: requires", "--cors-origin: cannot be combined", "--failed-per-peer: ", "--trusted-hops: ",
				"--cors-origin: ", "--cors-origin: ", "--policy-file: open",
			},
		},
		"callers' files": {
			[]string{
				"serve", url, "--check", "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim"), "--tls-cert=" + file(t, "nonsense"), "--tls-key=" + file(t, "nonsense"),
				"--oidc-issuer=http://issuer.example", "--oidc-audience=kootask", "--policy-file=" + file(t, "callers:\n  - san: orders\n    users: [1]\n"),
			},
			[]string{" contains no certificate in PEM form", "--oidc-issuer: must be an https URL", ": caller 1: san must be a name like"},
		},
		"three secrets": {
			[]string{"serve", url, "--check", "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim\n\nanother\r\n a third ")},
			[]string{"has more than two lines"},
		},
		"plaintext and not": {
			[]string{"serve", url, "--check", "--allow-plaintext", "--tls-cert=" + missing, "--tls-key=" + missing},
			[]string{"--allow-plaintext: cannot be combined", "--tls-cert: open"},
		},
		"an app's callers without a policy": {
			[]string{"serve", url, "--check", "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim"), "--oidc-issuer=https://issuer.example", "--oidc-audience=kootask"},
			[]string{"--policy-file: required"},
		},
		"app mode without an app": {
			[]string{"serve", url, "--upstream-auth=app", "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr="},
			[]string{"--app-id: required", "--app-secret-file: required"},
		},
		"app mode with a bad app": {
			[]string{"serve", url, "--upstream-auth=app", "--app-id=a,b", "--app-secret-file=" + file(t, "geheim"), "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr="},
			[]string{"--app-id: the AppId"},
		},
		"too rarely": {
			[]string{"serve", url, "--poll-max=11m", "--poll-backoff-max=1h", "--upstream-timeout=2m", "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr="},
			[]string{"--upstream-timeout: must be from", "--poll-max: must be from", "--poll-backoff-max: must be from", "--stale-after: must be at least"},
		},
		"app mode without a secret": {
			[]string{"serve", url, "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, " \n"), "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr="},
			[]string{"is empty"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := ask(t, row.args...)
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if code != exitUsage || stdout != "" || len(lines) != len(row.want) {
				t.Fatalf("exit %d, %d lines:\n%s%s", code, len(lines), stdout, stderr)
			}
			for i, want := range row.want {
				if !strings.HasPrefix(lines[i], "kootask: ") || !strings.Contains(lines[i], want) {
					t.Errorf("line %q lacks %q", lines[i], want)
				}
			}
		})
	}
}

func TestBadEnvironment(t *testing.T) {
	t.Setenv("KOOTASK_HEARTBEAT", "often")
	if code, _, stderr := ask(t, "serve"); code != exitUsage || !strings.Contains(stderr, "heartbeat") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"demo", "--help"}, {"simulate", "--help"}, {"version"}} {
		if code, stdout, stderr := ask(t, args...); code != exitOK || stdout == "" || stderr != "" {
			t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// Valid flags print nothing; the ports are not used.
func TestCheck(t *testing.T) {
	taken := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `http://([^\s,]+)`)
	if code, stdout, stderr := ask(t, "serve", "--check", "--upstream-url=https://koodrive.test", "--grpc-addr="+taken, "--admin-addr="); code != exitOK || stdout+stderr != "" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// In app mode, --check reminds of the app's quota at KooDrive, which it cannot check.
func TestCheckRemindsOfTheAppsQuota(t *testing.T) {
	app := []string{"serve", "--check", "--upstream-url=https://koodrive.test", "--upstream-auth=app", "--app-id=x", "--app-secret-file=" + file(t, "geheim")}
	code, stdout, stderr := ask(t, append(app, "--upstream-rps=7", "--app-rps-per-user=7")...)
	if code != exitOK || stderr != "" || !strings.HasPrefix(stdout, "note: ") || !strings.Contains(stdout, "--upstream-rps, 7, must be below the app's quota") {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	for _, rate := range []string{"-1", "51"} {
		if code, stdout, stderr := ask(t, append(app, "--app-rps-per-user="+rate)...); code != exitUsage || stdout != "" ||
			!strings.Contains(stderr, "--app-rps-per-user: must be from 1 to --upstream-rps") {
			t.Errorf("--app-rps-per-user=%s: %d, %q, %q", rate, code, stdout, stderr)
		}
	}
	if code, _, stderr := ask(t, "serve", "--check", "--upstream-url=https://koodrive.test", "--app-rps-per-user=1"); code != exitUsage ||
		!strings.Contains(stderr, "--app-rps-per-user: requires --upstream-auth=app") {
		t.Errorf("in caller mode: %d, %q", code, stderr)
	}
}
