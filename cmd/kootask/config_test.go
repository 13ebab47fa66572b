package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// configure writes a configuration file with a secret beside it, and returns its path.
func configure(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kootask.yaml")
	for name, content := range map[string]string{path: content, filepath.Join(filepath.Dir(path), "app-secret"): "geheim"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// inForce returns the output of kootask config: the value of each flag and its origin.
func inForce(t *testing.T, args ...string) (output string, values, origins map[string]string) {
	t.Helper()
	code, stdout, stderr := ask(t, append([]string{"config"}, args...)...)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	values, origins = map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+): (.*?) +# (.*)$`).FindAllStringSubmatch(stdout, -1) {
		values[m[1]], origins[m[1]] = m[2], m[3]
	}
	if len(values) != strings.Count(stdout, "\n") {
		t.Fatalf("%d values in\n%s", len(values), stdout)
	}
	return stdout, values, origins
}

// A flag wins over the environment, that over the file, and that over the default. Relative names of files begin in the file's
// folder. Passwords are hidden.
func TestOrigins(t *testing.T) {
	path := configure(t, `
upstream-auth: app
app-secret-file: app-secret
poll-min: 2s
poll-max: 20s
heartbeat: 9s
console: false
log-level: warn
admin-addr: ""
max-tasks: 7
cors-origin: ["https://a.example", "https://b.example"]
upstream-proxy: http://alice:geh@eim@proxy.example:3128
oidc-proxy: "geheim@proxy"
`)
	folder := filepath.Dir(path)
	t.Setenv("KOOTASK_CONFIG", path)
	t.Setenv("KOOTASK_POLL_MAX", "21s")
	t.Setenv("KOOTASK_HEARTBEAT", "10s")
	t.Setenv("KOOTASK_ADMIN_ADDR", "127.0.0.1:1")
	t.Setenv("KOOTASK_APP_ID", "")
	output, values, origins := inForce(t, "--heartbeat=11s", "--console", "--grpc-addr=", "--tls-client-san=DNS:a.example,*", "--oidc-issuer=https://issuer.example/a@b")
	type row struct{ value, origin string }
	got := map[string]row{}
	for name, value := range values {
		if origins[name] != "default" {
			got[name] = row{value, origins[name]}
		}
	}
	want := map[string]row{
		"upstream-auth": {"app", path + ":2"}, "app-secret-file": {filepath.Join(folder, "app-secret"), path + ":3"},
		"poll-min": {"2s", path + ":4"}, "poll-max": {"21s", "KOOTASK_POLL_MAX"}, "heartbeat": {"11s", "flag"}, "console": {"true", "flag"},
		"log-level": {"warn", path + ":8"}, "admin-addr": {"127.0.0.1:1", "KOOTASK_ADMIN_ADDR"}, "max-tasks": {"7", path + ":10"},
		"cors-origin":    {"['https://a.example', 'https://b.example']", path + ":11"},
		"upstream-proxy": {"http://xxxxx@proxy.example:3128", path + ":12"}, "oidc-proxy": {"xxxxx@proxy", path + ":13"},
		"oidc-issuer": {"https://issuer.example/a@b", "flag"}, // Its @ does not follow a password.
		"app-id":      {`""`, "KOOTASK_APP_ID"}, "grpc-addr": {`""`, "flag"}, "tls-client-san": {"['DNS:a.example', '*']", "flag"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(output, "geh") {
		t.Errorf("it prints a secret:\n%s", output)
	}
	if values["http-addr"] != "127.0.0.1:8080" {
		t.Errorf("a default: %q", values["http-addr"])
	}
}

// Every flag that configures the service may be in the file: its own output is a file with the same values.
func TestConfigOfEveryFlag(t *testing.T) {
	args := []string{"--upstream-url=https://koodrive.test", "--tls-client-san=DNS:a.example,x y", "--app-id=0123", "--log-level=error", "--policy-file=a: b"}
	output, values, _ := inForce(t, args...)
	path := configure(t, output)
	_, again, origins := inForce(t, "--config="+path)
	if diff := cmp.Diff(values, again); diff != "" {
		t.Error(diff)
	}
	line := 0
	for _, flag := range modelOf(t, "serve").Flags {
		switch flag.Name {
		case "config", "check", "online":
			continue
		}
		line++
		if want := path + ":" + strconv.Itoa(line); origins[flag.Name] != want {
			t.Errorf("%s comes from %q, want %s", flag.Name, origins[flag.Name], want)
		}
	}
	if line != len(values) || line < 40 {
		t.Errorf("%d flags and %d values", line, len(values))
	}
}

// The file takes effect in serve. Without one, or with an empty one, nothing changes, and other commands know no such file.
func TestConfigTakesEffect(t *testing.T) {
	path := configure(t, "upstream-url: https://koodrive.test\nupstream-auth: app\napp-id: x\napp-secret-file: app-secret\nupstream-rps: 7\n")
	if code, stdout, stderr := ask(t, "serve", "--check", "--config="+path); code != exitOK || stderr != "" || !strings.Contains(stdout, "--upstream-rps, 7,") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := ask(t, "serve", "--check", "--config="+path, "--upstream-rps=0"); code != exitUsage || stderr != "kootask: --upstream-rps: must be at least 1\n" {
		t.Errorf("a flag over the file: exit %d: %s", code, stderr)
	}
	_, want, _ := inForce(t)
	for _, content := range []string{"", "# Nothing.\n", "\ufeff", "{}"} {
		if _, got, _ := inForce(t, "--config="+configure(t, content)); !cmp.Equal(got, want) {
			t.Errorf("%q changes a value", content)
		}
	}
	if code, _, stderr := ask(t, "serve", "--check", "--upstream-url=https://koodrive.test", "--config="); code != exitOK || stderr != "" {
		t.Errorf("an empty flag: exit %d: %s", code, stderr)
	}
	t.Setenv("KOOTASK_CONFIG", "/missing")
	for _, args := range [][]string{{"version"}, {"explain", "TASK_NOT_FOUND"}} {
		if code, _, stderr := ask(t, args...); code != exitOK || stderr != "" {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
	}
}

// The example of docs/configuration.md is valid as it stands, with the secret beside it.
func TestConfigExample(t *testing.T) {
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text(t, "docs/configuration.md"))
	if example == nil {
		t.Fatal("docs/configuration.md has no example of a file")
	}
	path := configure(t, example[1])
	if code, _, stderr := ask(t, "serve", "--check", "--config="+path); code != exitOK || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	_, values, origins := inForce(t, "--config="+path)
	if want := filepath.Join(filepath.Dir(path), "app-secret"); values["app-secret-file"] != want || !strings.HasPrefix(origins["app-secret-file"], path) {
		t.Errorf("app-secret-file is %s, from %s", values["app-secret-file"], origins["app-secret-file"])
	}
}

// The errors in docs/configuration.md are those of a file.
func TestConfigErrorExample(t *testing.T) {
	path := configure(t, "upstream-url: https://koodrive.test\npoll_min: 2s\nmax-tasks: many\n")
	page := text(t, "docs/configuration.md")
	t.Chdir(filepath.Dir(path))
	if code, _, stderr := ask(t, "serve", "--config=kootask.yaml"); code != exitUsage || !strings.Contains(page, "```\n"+stderr+"```") {
		t.Errorf("exit %d: docs/configuration.md does not have\n%s", code, stderr)
	}
}
