package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// brokenConfigs are the contents of configuration files, each with its problems. A line of want begins with its line and key.
// GEHEIM is a secret. Beside the file, "secret" has a secret, "three" has too many, and "cert" is not a certificate.
var brokenConfigs = map[string]struct {
	content string
	want    []string
}{
	// The form of the file.
	"not YAML":         {"poll-min: [", []string{"1: it is not YAML: did not find expected node content"}},
	"a tab":            {"poll-min: 1s\n\tpoll-max: 9s", []string{"2: it is not YAML: found a tab character that violates indentation"}},
	"a text":           {"GEHEIM", []string{"1: must be a mapping"}},
	"a list":           {"- poll-min: 1s", []string{"1: must be a mapping"}},
	"null":             {"~", []string{"1: must be a mapping"}},
	"two documents":    {"poll-min: 1s\n---\npoll-max: 9s", []string{"2: it must be a single document"}},
	"UTF-16":           {"\xff\xfep\x00o\x00l\x00l\x00", []string{"1: it has a control character, or is not UTF-8"}},
	"a NUL":            {"poll-min: 1s\napp-id: a\x00b", []string{"2: it has a control character, or is not UTF-8"}},
	"an unknown alias": {"app-id: *GEHEIM", []string{"1: it is not YAML: unknown anchor"}},
	"an alias":         {"poll-min: &a 1s\npoll-max: *a", []string{"2: poll-max: must be a duration such as 2.5s"}},
	"a merge":          {"<<: {poll-min: 1s}", []string{"1: a key must be a text or a number"}},

	// The keys.
	"an unknown key":     {"pol-min: 1s", []string{"1: pol-min: unknown key. Keys are the flags of kootask serve, without --"}},
	"dashes":             {"--poll-min: 1s", []string{"1: --poll-min: unknown key. Write poll-min"}},
	"underscores":        {"poll_min: 1s", []string{"1: poll_min: unknown key. Write poll-min"}},
	"camel case":         {"pollMin: 1s", []string{"1: pollMin: unknown key. Write poll-min"}},
	"capitals":           {"POLL-MIN: 1s", []string{"1: POLL-MIN: unknown key. Write poll-min"}},
	"a negated flag":     {"no-console: true", []string{"1: no-console: unknown key. Keys are the flags of kootask serve, without --"}},
	"nested keys":        {"poll:\n  min: 1s", []string{"1: poll: unknown key. Keys are the flags of kootask serve, without --"}},
	"a key of demo":      {"script: a", []string{"1: script: unknown key. Keys are the flags of kootask serve, without --"}},
	"a key with spaces":  {"\"poll min\": 1s", []string{"1: \"poll min\": unknown key. Keys are the flags of kootask serve, without --"}},
	"a list as key":      {"[poll-min]: 1s", []string{"1: a key must be a text or a number"}},
	"the file itself":    {"config: other.yaml", []string{"1: config: must not be in the file. Use --config on the command line"}},
	"check":              {"check: true\nonline: true", []string{"1: check: must not be in the file. Use --check on the command line", "2: online: must not be in the file. Use --online on the command line"}},
	"help":               {"help: true", []string{"1: help: unknown key. Keys are the flags of kootask serve, without --"}},
	"a duplicate":        {"poll-min: 1s\npoll-max: 9s\npoll-min: 1s", []string{"3: poll-min: occurs twice"}},
	"a quoted duplicate": {"poll-min: 1s\n\"poll-min\": 2s", []string{"2: poll-min: occurs twice"}},
	"a secret":           {"app-secret: GEHEIM", []string{"1: app-secret: must not be in the file. kootask reads secrets from files of their own, such as app-secret-file"}},
	"a password":         {"password: GEHEIM", []string{"1: password: must not be in the file. kootask reads secrets from files of their own, such as app-secret-file"}},

	// The types.
	"a number for a duration":   {"poll-min: 5", []string{"1: poll-min: must be a duration such as 2.5s"}},
	"a text for a duration":     {"poll-min: GEHEIM", []string{"1: poll-min: must be a duration such as 2.5s"}},
	"nothing for a duration":    {"poll-min:", []string{"1: poll-min: must be a duration such as 2.5s"}},
	"a text for a number":       {"max-tasks: \"7\"", []string{"1: max-tasks: must be a whole number"}},
	"a fraction for a number":   {"max-tasks: 7.5", []string{"1: max-tasks: must be a whole number"}},
	"an octal number":           {"max-tasks: 0o17\nupstream-rps: 017", []string{"1: max-tasks: must be a whole number", "2: upstream-rps: must be a whole number"}},
	"a large number":            {"max-tasks: 99999999999999999999", []string{"1: max-tasks: must be a whole number"}},
	"a text for a boolean":      {"console: \"false\"", []string{"1: console: must be true or false"}},
	"yes for a boolean":         {"console: yes", []string{"1: console: must be true or false"}},
	"a number for a text":       {"app-id: 0123", []string{"1: app-id: must be a text. Quote it"}},
	"a boolean for a text":      {"oidc-audience: true", []string{"1: oidc-audience: must be a text. Quote it"}},
	"a list for a text":         {"grpc-addr: [GEHEIM]", []string{"1: grpc-addr: must be a text. Quote it"}},
	"a mapping for a text":      {"grpc-addr: {host: GEHEIM}", []string{"1: grpc-addr: must be a text. Quote it"}},
	"a text for a list":         {"cors-origin: https://a.example", []string{"1: cors-origin: must be a list of texts, such as [a, b]"}},
	"a number in a list":        {"tls-client-san:\n- DNS:a.example\n- 7", []string{"3: tls-client-san[1]: must be a text. Quote it"}},
	"a wrong choice":            {"upstream-auth: GEHEIM", []string{"1: upstream-auth: must be caller or app"}},
	"a wrong format":            {"log-format: xml", []string{"1: log-format: must be json or text"}},
	"a wrong level":             {"log-level: loud", []string{"1: log-level: must be debug, info, warn or error"}},
	"a list for a file":         {"tls-cert: [cert]", []string{"1: tls-cert: must be the name of a file"}},
	"a content for a file":      {"tls-key: |\n  GEHEIM\n", []string{"1: tls-key: must be the name of a file"}},
	"everything that is broken": {"app-secret: GEHEIM\npoll-min: 5\nfoo: 1\npoll-min: 1s\nmax-tasks: many", []string{"1: app-secret: must not be in the file. kootask reads secrets from files of their own, such as app-secret-file", "2: poll-min: must be a duration such as 2.5s", "3: foo: unknown key. Keys are the flags of kootask serve, without --", "4: poll-min: occurs twice", "5: max-tasks: must be a whole number"}},

	// The values, which are judged once the types are right.
	"out of range":           {"heartbeat: 16s\nmax-tasks: 0\ntrusted-hops: -1", []string{"2: max-tasks: must be at least 1", "1: heartbeat: must be from 1s to 15s", "3: trusted-hops: must be from 0 to 10"}},
	"two that do not fit":    {"poll-min: 20s\n", []string{"--poll-max: must not be less than --poll-min, 20s"}},
	"an invalid port":        {"http-addr: 127.0.0.1:http-not", []string{"1: http-addr: lookup tcp/http-not: unknown port"}},
	"a missing secret":       {"\nupstream-auth: app\napp-id: x\napp-secret-file: missing", []string{"4: app-secret-file: open FOLDER/missing: no such file or directory"}},
	"three secrets":          {"upstream-auth: app\napp-id: x\napp-secret-file: three", []string{"3: app-secret-file: FOLDER/three has more than two lines"}},
	"a missing certificate":  {"tls-cert: /missing/cert\ntls-key: secret", []string{"1: tls-cert: open /missing/cert: no such file or directory"}},
	"a broken certificate":   {"upstream-ca: cert", []string{"1: upstream-ca: FOLDER/cert contains no certificate in PEM form"}},
	"a key alone":            {"tls-key: secret", []string{"1: tls-key: must be set together with --tls-cert"}},
	"an unused secret":       {"app-secret-file: secret", []string{"1: app-secret-file: requires --upstream-auth=app"}},
	"a missing dialect":      {"upstream-dialect: missing", []string{"1: upstream-dialect: open FOLDER/missing: no such file or directory"}},
	"an invalid proxy":       {"upstream-proxy: \"u:GEHEIM@proxy\"", []string{"1: upstream-proxy: must be a URL like http://proxy.example:3128"}},
	"an invalid origin":      {"cors-origin: [\"https://a.example/\"]", []string{"1: cors-origin: must be an origin like https://tasks.example"}},
	"plaintext beyond":       {"grpc-addr: \"0.0.0.0:0\"", []string{"1: grpc-addr: must be a loopback address without --tls-cert, or --allow-plaintext if a proxy in front terminates TLS"}},
	"an address without TLS": {"upstream-url: http://koodrive.test", []string{"1: upstream-url: KooDrive's URL is http, which sends credentials unencrypted. Use https, or set AllowHTTP (--upstream-allow-http)"}},
}

// Every problem of a file is one line with the file, the line, the key and what is expected. No value is quoted, and no port is
// opened, with --check or without.
func TestBrokenConfigs(t *testing.T) {
	if len(brokenConfigs) < 40 {
		t.Errorf("%d files", len(brokenConfigs))
	}
	t.Setenv("KOOTASK_ADMIN_ADDR", start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `http://([^\s,]+)`)) // It cannot be opened.
	for name, row := range brokenConfigs {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "kootask.yaml")
			for name, content := range map[string]string{"secret": "GEHEIM", "three": "a\nb\nc", "cert": "GEHEIM", "kootask.yaml": row.content} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var want strings.Builder
			for _, line := range row.want {
				if !strings.HasPrefix(line, "--") {
					line = path + ":" + line
				}
				want.WriteString("kootask: " + strings.ReplaceAll(line, "FOLDER", folder) + "\n")
			}
			args := []string{"serve", "--config=" + path}
			if !strings.Contains(row.content, "upstream-url") {
				args = append(args, "--upstream-url=https://koodrive.test")
			}
			for _, args := range [][]string{args, append(args, "--check")} {
				code, stdout, stderr := ask(t, args...)
				if diff := cmp.Diff(want.String(), stderr); diff != "" || code != exitUsage || stdout != "" {
					t.Errorf("%q: exit %d, %s:\n%s", args, code, stdout, diff)
				}
			}
		})
	}
}

// A file that cannot be read is one line that names the flag.
func TestMissingConfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kootask.yaml")
	want := "kootask: --config: open " + missing + ": no such file or directory\n"
	for _, command := range []string{"serve", "config"} {
		if code, _, stderr := ask(t, command, "--config="+missing); code != exitUsage || stderr != want {
			t.Errorf("%s: exit %d: %s", command, code, stderr)
		}
		t.Setenv("KOOTASK_CONFIG", missing)
		if code, _, stderr := ask(t, command); code != exitUsage || stderr != want {
			t.Errorf("%s, with the variable: exit %d: %s", command, code, stderr)
		}
	}
}
