package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/service/reason"
)

// sent returns the headers of the double's last call that come from flags.
func (d *double) sent() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]string{}
	for _, name := range []string{"authorization", "x-kootask-authorization", "x-user-id"} {
		if values := d.headers[len(d.headers)-1].Get(name); len(values) > 0 {
			all[name] = values[0]
		}
	}
	return all
}

// contexts writes a file of contexts, and files beside it, and returns its path.
func contexts(t *testing.T, text string, beside map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range beside {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(folder, "contexts.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each key of a context takes effect, in every command. Relative file names begin in the file's folder.
func TestContextKeys(t *testing.T) {
	cert, key := clientAuthority.Client("DNS:orders.example").WriteFiles(t.TempDir())
	ca, err := os.ReadFile(serverAuthority.WriteFile(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	d := &double{}
	secure := d.serve(t, mutual(0))
	path := contexts(t, "prod:\n  addr: 127.0.0.1:"+secure+"\n  tls: true\n  ca: ca.pem\n  cert: "+cert+"\n  key: "+key+"\n"+
		"  caller_token_file: caller\n  token_file: token\n  user_id: \"7\"\n", map[string]string{"ca.pem": string(ca), "caller": "me", "token": "of-the-file"})
	want := map[string]string{"authorization": "of-the-file", "x-kootask-authorization": "Bearer me", "x-user-id": "7"}
	for _, command := range []string{"get", "watch", "wait"} {
		code, stdout, stderr := ask(t, command, "9", "--context=prod", "--context-file="+path)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d:\n%s%s", command, code, stdout, stderr)
			continue
		}
		if diff := cmp.Diff(want, d.sent()); diff != "" {
			t.Errorf("%s:\n%s", command, diff)
		}
	}
}

// A flag wins over the environment, that over the context, and that over the default.
func TestContextOrder(t *testing.T) {
	d := &double{}
	port := d.serve(t, nil)
	path := contexts(t, "local: {addr: \"127.0.0.1:"+port+"\", token_file: token, user_id: of-the-context}", map[string]string{"token": "of-the-context"})
	for name, row := range map[string]struct {
		flags       []string
		environment map[string]string
		token, user string
	}{
		"the context":          {nil, nil, "of-the-context", "of-the-context"},
		"the environment":      {nil, map[string]string{"KOOTASK_USER_ID": "of-the-environment", tokenVariable: "of-the-environment"}, "of-the-environment", "of-the-environment"},
		"an empty variable":    {nil, map[string]string{"KOOTASK_USER_ID": "", tokenVariable: ""}, "of-the-context", ""},
		"a file's variable":    {nil, map[string]string{"KOOTASK_TOKEN_FILE": file(t, "of-the-environment")}, "of-the-environment", "of-the-context"},
		"flags":                {[]string{"--user-id=of-the-flag", "--token-file=" + file(t, "of-the-flag")}, map[string]string{"KOOTASK_USER_ID": "x", tokenVariable: "x"}, "of-the-flag", "of-the-flag"},
		"an empty flag":        {[]string{"--user-id="}, nil, "of-the-context", ""},
		"a flag over a name":   {[]string{"--context=local"}, map[string]string{"KOOTASK_CONTEXT": "missing"}, "of-the-context", "of-the-context"},
		"the file by variable": {[]string{"--context-file=" + path}, map[string]string{"KOOTASK_CONTEXT_FILE": "missing"}, "of-the-context", "of-the-context"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KOOTASK_CONTEXT", "local")
			t.Setenv("KOOTASK_CONTEXT_FILE", path)
			for variable, value := range row.environment {
				t.Setenv(variable, value)
			}
			code, stdout, stderr := ask(t, append([]string{"get", "9"}, row.flags...)...)
			if code != exitOK {
				t.Fatalf("exit %d: %s%s", code, stdout, stderr)
			}
			want := map[string]string{"authorization": row.token}
			if row.user != "" {
				want["x-user-id"] = row.user
			}
			if diff := cmp.Diff(want, d.sent()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Setenv("KOOTASK_ADDR", "127.0.0.1:"+port)
	other := contexts(t, "other: {addr: nowhere, tls: true}", nil)
	if code, stdout, stderr := ask(t, "get", "9", "--context=other", "--context-file="+other, "--tls=false"); code != exitOK {
		t.Errorf("an address and --tls=false: exit %d: %s%s", code, stdout, stderr)
	}
}

// Without a name, the file is not read, and other commands do not know contexts. The default file is in the configuration folder.
func TestContextIsChosen(t *testing.T) {
	d := &double{}
	port := d.serve(t, nil)
	home := t.TempDir()
	for _, variable := range []string{"XDG_CONFIG_HOME", "HOME", "AppData"} {
		t.Setenv(variable, home)
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "kootask", "contexts.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("local: {addr: \"127.0.0.1:"+port+"\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := ask(t, "get", "9", "--context=local"); code != exitOK {
		t.Errorf("the default file: exit %d: %s%s", code, stdout, stderr)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"--context="}, {"--context-file=missing"}} {
		if code, stdout, stderr := ask(t, append([]string{"get", "9", "--addr=127.0.0.1:" + port}, flags...)...); code != exitOK {
			t.Errorf("%q: exit %d: %s%s", flags, code, stdout, stderr)
		}
	}
	t.Setenv("KOOTASK_CONTEXT", "local")
	for _, args := range [][]string{{"version"}, {"explain", "TASK_NOT_FOUND"}, {"serve", "--check", "--upstream-url=https://koodrive.test"}} {
		if code, _, stderr := ask(t, args...); code != exitOK || stderr != "" {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
	}
}

// Every problem of the file is a line with the context in use, the file, the line and the key. No value is quoted.
func TestBrokenContexts(t *testing.T) {
	const secret = "c2VjcmV0"
	for content, want := range map[string][]string{
		"":                              {"unknown context: FILE has no contexts"},
		"b: {}\na: {}":                  {"unknown context: FILE has a, b"},
		"prod: {":                       {"FILE:1: it is not YAML: "},
		"- prod":                        {"FILE:1: must be a mapping"},
		"addr: " + secret:               {"FILE:1: addr: must be a mapping"},
		"prod:":                         {"FILE:1: prod: must be a mapping"},
		"prod: {}\nprod: {}":            {"FILE:2: prod: occurs twice"},
		"prod: {}\n\"a b\": {}":         {"FILE:2: \"a b\": a name has 1 to 64 letters, digits, dots, dashes or underscores"},
		"prod: {}\n---\nb: {}":          {"FILE:2: it must be a single document"},
		"prod: {adr: " + secret + "}":   {"FILE:1: prod.adr: unknown key. Known are addr, ca, caller_token_file, cert, key, tls, token_file, user_id"},
		"prod: {allow_plaintext: true}": {"FILE:1: prod.allow_plaintext: unknown key. "},
		"prod: {token: " + secret + "}": {"FILE:1: prod.token: must not be here: name a file that holds the secret, with token_file or caller_token_file"},
		"prod: {token_file: |\n  " + secret + "\n  }": {"FILE:"},
		"prod: &a {}\nb: *a":                          {"FILE:2: b: must be a mapping"},
		"prod:\n  addr: 1\n  user_id: 7\n  tls: \"yes\"\n  ca: \"\"\n  cert: []\n  key: |\n    " + secret + "\n" +
			"b:\n  caller-token: " + secret + "\n  password: " + secret + "\n  Authorization: " + secret + "\n  addr: a\n  addr: b\n": {
			"FILE:2: prod.addr: must be a text. Quote it", "FILE:3: prod.user_id: must be a text. Quote it", "FILE:4: prod.tls: must be true or false",
			"FILE:5: prod.ca: must be the name of a file", "FILE:6: prod.cert: must be a text", "FILE:7: prod.key: must be the name of a file",
			"FILE:10: b.caller-token: must not be here", "FILE:11: b.password: must not be here", "FILE:12: b.Authorization: must not be here",
			"FILE:14: b.addr: occurs twice",
		},
		"prod: {addr: nowhere, ca: ca.pem, cert: /missing, token_file: token}": {
			"--addr: must be HOST:PORT", "--ca: open FOLDER/ca.pem: no such file", "--cert: requires --key", "--token-file: open FOLDER/token: no such file",
		},
		"prod: {addr: \"kootask.example:9090\"}": {"--addr: credentials would travel unencrypted. "},
	} {
		path := contexts(t, content, nil)
		for _, command := range []string{"get", "watch", "wait"} {
			code, stdout, stderr := ask(t, command, "9", "--context=prod", "--context-file="+path)
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if code != exitUsage || stdout != "" || len(lines) != len(want) || strings.Contains(stderr, secret) {
				t.Errorf("%s of %q: exit %d, %d lines:\n%s%s", command, content, code, len(lines), stdout, stderr)
				continue
			}
			for i, line := range lines {
				want := "kootask: context prod: " + strings.NewReplacer("FILE", path, "FOLDER", filepath.Dir(path)).Replace(want[i])
				if !strings.HasPrefix(line, want) {
					t.Errorf("%s of %q: %q, want %q", command, content, line, want)
				}
			}
		}
	}
}

// A file that is missing, or that others can use, is refused. A name cannot control the terminal.
func TestContextFile(t *testing.T) {
	path := contexts(t, "prod: {}", nil)
	for _, mode := range []os.FileMode{0o640, 0o620, 0o604, 0o602, 0o601, 0o644, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want := "kootask: context prod: other users can read or change " + path + ": run chmod 600 " + path + "\n"
		if code, _, stderr := ask(t, "get", "9", "--context=prod", "--context-file="+path); code != exitUsage || stderr != want {
			t.Errorf("%o: exit %d: %s", mode, code, stderr)
		}
	}
	if code, _, stderr := ask(t, "get", "9", "--context=a\x1bb", "--context-file=/missing"); code != exitUsage ||
		stderr != "kootask: context a\ufffdb: open /missing: no such file or directory\n" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	for _, variable := range []string{"XDG_CONFIG_HOME", "HOME", "AppData"} {
		t.Setenv(variable, "")
	}
	if code, _, stderr := ask(t, "get", "9", "--context=prod"); code != exitUsage || !strings.HasPrefix(stderr, "kootask: context prod: set --context-file: ") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// The error of a call names the context in use.
func TestContextInErrors(t *testing.T) {
	d := &double{outcomes: map[string]reason.Outcome{"9": reason.TaskNotFound}}
	path := contexts(t, "prod: {addr: \"127.0.0.1:"+d.serve(t, nil)+"\"}\nnobody: {addr: \"127.0.0.1:1\"}", nil)
	for _, command := range []string{"get", "watch", "wait"} {
		for name, want := range map[string]string{"prod": "TASK_NOT_FOUND", "nobody": "kootask does not answer"} {
			_, stdout, stderr := ask(t, command, "9", "--context="+name, "--context-file="+path)
			if !regexp.MustCompile("context " + name + ": .*" + want).MatchString(stdout + stderr) {
				t.Errorf("%s --context=%s: %s%s", command, name, stdout, stderr)
			}
		}
	}
}

// The example of docs/cli.md.
func TestContextExample(t *testing.T) {
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text(t, "docs/cli.md"))
	if example == nil {
		t.Fatal("docs/cli.md has no example of a file of contexts")
	}
	got, err := parseContexts([]byte(example[1]), "/folder")
	want := map[string]map[string]any{
		"prod": {"addr": "kootask.example:9090", "ca": "/folder/ca.pem", "caller-token-file": "/run/secrets/caller.jwt", "token-file": "/folder/prod.token"},
		"demo": {"addr": "127.0.0.1:9090", "token-file": "/folder/demo.token"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
