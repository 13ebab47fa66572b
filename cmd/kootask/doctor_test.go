package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// examineAs runs the command for a KooDrive in memory, and returns the exit code and the output.
func examineAs(t *testing.T, c *doctorCommand, k http.Handler) (code int, stdout, stderr string) {
	t.Helper()
	listener := koodrivetest.Listen()
	server := &http.Server{Handler: k}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	c.UpstreamURL, c.UpstreamAllowHTTP, c.TaskID = "http://koodrive.test", true, koodrivetest.Example().ID
	config, err := c.config()
	var out, errs strings.Builder
	if err == nil {
		config.Upstream.Dial = listener.Dial
		err = c.examine(t.Context(), output{&checkedWriter{to: &out}, &errs}, config)
	}
	return report(&errs, err), out.String(), errs.String()
}

// The exit code of each result, and the file that is written.
func TestDoctor(t *testing.T) {
	secretFile, tokenFile := file(t, appSecret), file(t, secretToken)
	app := doctorCommand{
		appFlags: appFlags{UpstreamAuth: "app", AppID: "app", AppSecretFile: secretFile}, UserID: koodrivetest.Example().UserID,
	}
	for name, row := range map[string]struct {
		command doctorCommand
		overlay string
		strange bool // The KooDrive does not know the credential.
		code    int
		written bool
	}{
		"as expected":          {doctorCommand{TokenFile: tokenFile}, "", false, exitOK, true},
		"as expected, as JSON": {doctorCommand{TokenFile: tokenFile, Output: "json"}, "", false, exitOK, true},
		"an app":               {app, "", false, exitOK, true},
		"another prefix":       {doctorCommand{TokenFile: tokenFile}, `token: {prefix: "Bearer+"}`, false, exitDiffers, true},
		"another signature":    {app, "signature: {time_line: true}", false, exitDiffers, true},
		"a header is missing":  {doctorCommand{TokenFile: tokenFile}, "headers: {X-Hw-Agentname: example}", false, exitDiffers, true},
		"a header, an app":     {app, "headers: {X-Hw-Agentname: example}", false, exitDiffers, true},
		"refused":              {doctorCommand{TokenFile: tokenFile, Output: "json"}, "", true, exitRefused, false},
		"an app, refused":      {app, "", true, exitRefused, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dialect.yaml")
			synctest.Test(t, func(t *testing.T) {
				k := koodrivetest.New()
				if !row.strange {
					k.AddToken(secretToken, 0)
					k.AddApp("app", appSecret)
				}
				d, err := dialects.Parse([]byte(row.overlay))
				if err != nil {
					t.Fatal(err)
				}
				spoken, err := dialects.Simulated(d)
				if err != nil {
					t.Fatal(err)
				}
				k.SetDialect(spoken)
				row.command.Write = path
				code, stdout, stderr := examineAs(t, &row.command, k)
				if code != row.code || k.Count() == 0 {
					t.Errorf("exit %d: %s%s", code, stdout, stderr)
				}
				search(t, "doctor", stdout+stderr, secrets...)
				search(t, "doctor", stdout+stderr, data...)
				var r doctor.Report
				if err := json.Unmarshal([]byte(stdout), &r); (err == nil) != (row.command.Output == "json") || err == nil && len(r.Questions) == 0 {
					t.Errorf("%v: %s", err, stdout)
				}
			})
			info, err := os.Stat(path)
			if !row.written {
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%v is written", info)
				}
				return
			}
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%v, %v", info, err)
			}
			overlay, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			search(t, "the overlay", string(overlay), secrets...)
			search(t, "the overlay", string(overlay), data...)
			if strings.HasPrefix(row.overlay, "headers:") { // Its line is a comment, without the value that doctor cannot know.
				overlay = bytes.ReplaceAll(overlay, []byte("# headers: {X-Example: example}"), []byte(row.overlay))
			}
			got, err := dialects.Parse(overlay)
			if want, _ := dialects.Parse([]byte(row.overlay)); err != nil || got.Digest() != want.Digest() {
				t.Errorf("%v:\n%s", err, overlay)
			}
		})
	}
}

// Nothing is asked if a flag is wrong, and a step that fails is named.
func TestDoctorFlags(t *testing.T) {
	t.Setenv(tokenVariable, "")
	const url, task = "--upstream-url=https://127.0.0.1:1", "--task-id=" + failedID
	tokenFile, secretFile := "--token-file="+file(t, secretToken), "--app-secret-file="+file(t, appSecret)
	for name, row := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no KooDrive":          {[]string{"doctor", task, tokenFile}, exitUsage, "--upstream-url: "},
		"no task":              {[]string{"doctor", url, tokenFile}, exitUsage, "--task-id: the task id is missing"},
		"no token":             {[]string{"doctor", url, task}, exitUsage, "--token-file: required"},
		"a signature":          {[]string{"doctor", url, task, "--token-file=" + file(t, "HMAC-SHA256 AppId=a,SignedHeaders=x-date;x-user-id,Signature=b")}, exitUsage, "--token-file: "},
		"an app without user":  {[]string{"doctor", url, task, "--upstream-auth=app", "--app-id=app", secretFile}, exitUsage, "--user-id: required"},
		"an app and a token":   {[]string{"doctor", url, task, "--upstream-auth=app", "--app-id=app", secretFile, tokenFile, "--user-id=1"}, exitUsage, "--token-file: cannot"},
		"a required user":      {[]string{"doctor", url, task, tokenFile, "--upstream-dialect=" + file(t, "token: {user_id: required}")}, exitUsage, "--user-id: required by --upstream-dialect"},
		"an existing file":     {[]string{"doctor", url, task, tokenFile, "--write=" + file(t, "mine")}, exitUsage, "--write: "},
		"nobody listens":       {[]string{"doctor", url, task, tokenFile}, exitError, "the step tcp failed"},
		"nothing to write":     {[]string{"doctor", url, task, tokenFile, "--write=" + filepath.Join(t.TempDir(), "new")}, exitError, "new is not written"},
		"check online":         {[]string{"serve", "--check", "--online", url}, exitError, "the step tcp failed"},
		"online without check": {[]string{"serve", "--online", url, "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr="}, exitUsage, "--online: requires --check"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := ask(t, row.args...)
			if code != row.code || !strings.Contains(stdout+stderr, row.want) {
				t.Errorf("exit %d: %s%s", code, stdout, stderr)
			}
			search(t, name, stdout+stderr, secrets...)
		})
	}
}

// serve --check --online connects, and asks nothing.
func TestCheckOnline(t *testing.T) {
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	code, stdout, stderr := ask(t, "serve", "--check", "--online", "--upstream-allow-http", "--upstream-url="+koodrive)
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "same       tcp: connected") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	proxy := strings.Replace(koodrive, "http:", "https:", 1)
	code, stdout, stderr = ask(t, "serve", "--check", "--online", "--upstream-allow-http", "--upstream-url="+koodrive, "--upstream-proxy="+proxy)
	if code != exitError || !strings.Contains(stderr, "the step proxy failed") {
		t.Errorf("a proxy without TLS: exit %d: %s%s", code, stdout, stderr)
	}
}

// doctorReport is the report in the documentation.
func doctorReport(t *testing.T) (text string) {
	t.Helper()
	tokenFile := file(t, secretToken)
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddToken(secretToken, 0)
		k.SetDialect(koodrivetest.Dialect{TokenPrefix: "Bearer+"})
		c := doctorCommand{TokenFile: tokenFile, UserID: koodrivetest.Example().UserID}
		_, text, _ = examineAs(t, &c, k)
	})
	return text
}
