package doctor_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/internal/canaries"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token     = "canary-token-0123456789"
	appID     = "canary-app-0123456789"
	appSecret = "canary-secret-0123456789"
)

// hidden are the texts that no output may contain.
var hidden = []*canaries.Canary{
	canaries.New("the token", token), canaries.New("the app's id", appID), canaries.New("the app's secret", appSecret),
	canaries.New("a user", koodrivetest.Example().UserID), canaries.New("a tenant", koodrivetest.Example().TenantID),
	canaries.New("a task's name", koodrivetest.Example().Name),
}

// parse returns the dialect of an overlay.
func parse(t *testing.T, overlay string) dialect.Dialect {
	t.Helper()
	d, err := dialects.Parse([]byte(overlay))
	if err != nil {
		t.Fatalf("%v, in\n%s", err, overlay)
	}
	return d
}

// simulated returns a KooDrive that accepts token and the app, and speaks as an overlay says.
func simulated(t *testing.T, overlay string) *koodrivetest.KooDrive {
	t.Helper()
	k := koodrivetest.New()
	k.AddToken(token, 0)
	k.AddApp(appID, appSecret)
	spoken, err := dialects.Simulated(parse(t, overlay))
	if err != nil {
		t.Fatal(err)
	}
	k.SetDialect(spoken)
	return k
}

// serve serves a KooDrive in memory until the test ends, and returns the connection to it.
func serve(t *testing.T, handler http.Handler) upstream.Config {
	t.Helper()
	listener := koodrivetest.Listen()
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true, Dial: listener.Dial}
}

// withToken returns the config of an examination with the token.
func withToken(t *testing.T, at upstream.Config) doctor.Config {
	t.Helper()
	example := koodrivetest.Example()
	return doctor.Config{
		Upstream: at, Dialect: parse(t, ""), TaskID: example.ID, Token: secret.New(token), UserID: example.UserID,
	}
}

// withApp returns the config of an examination with the app.
func withApp(t *testing.T, at upstream.Config) doctor.Config {
	t.Helper()
	c := withToken(t, at)
	c.App, c.Token = &upstream.App{ID: appID, Secrets: upstream.FixedSecrets(secret.New(appSecret))}, secret.Value{}
	return c
}

// examine runs an examination. Its outputs keep to Width and contain nothing hidden. It returns the printed report too.
func examine(t *testing.T, config doctor.Config) (*doctor.Report, string) {
	t.Helper()
	r, err := doctor.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r.Print(&b)
	asJSON, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > doctor.Width {
			t.Errorf("the line is too long: %s", line)
		}
	}
	overlay := string(r.Overlay(parse(t, "")))
	parse(t, overlay)
	for name, text := range map[string]string{"the report": b.String(), "the JSON": string(asJSON), "the overlay": overlay} {
		for _, c := range hidden {
			if form := c.In(text); form != "" {
				t.Errorf("%s contains %s, %s:\n%s", name, c.Name, form, text)
			}
		}
	}
	return r, b.String()
}

// bubble examines a KooDrive in virtual time.
func bubble(t *testing.T, handler http.Handler, config func(*testing.T, upstream.Config) doctor.Config, then func(*doctor.Report, string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		then(examine(t, config(t, serve(t, handler))))
	})
}

// polite checks the manners towards a KooDrive: only reading, at most 12 requests, at most one a second. It returns the number
// of refused requests.
func polite(t *testing.T, k *koodrivetest.KooDrive) (refused int) {
	t.Helper()
	var before time.Time
	for _, r := range k.Requests() {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.Path, "/koodrive/ose/v1/task/") {
			t.Errorf("it sent %s %s", r.Method, r.Path)
		}
		if !before.IsZero() && r.Received.Sub(before) < time.Second {
			t.Errorf("a request came %v after another", r.Received.Sub(before))
		}
		before = r.Received
		if r.Refused != "" {
			refused++
		}
	}
	if k.Count() > 12 {
		t.Errorf("%d requests", k.Count())
	}
	return refused
}

// works reports the error of kootask in a dialect.
func works(ctx context.Context, config doctor.Config, d dialect.Dialect) error {
	config.Upstream.Dialect = dialects.Upstream(d)
	c, err := upstream.NewClient(config.Upstream)
	if err != nil {
		return err
	}
	defer c.Close()
	var credential upstream.Credential
	if config.App != nil {
		credential, err = config.App.As(config.UserID)
	} else {
		credential, err = upstream.Forward(config.Token, config.UserID, "")
	}
	if err != nil {
		return err
	}
	q, err := c.Query(credential, config.TaskID)
	if err != nil {
		return err
	}
	_, err = c.Task(ctx, q, upstream.Call{Queue: q.Caller()})
	return err
}

// refusing is a dial that fails.
func refusing(err error) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

// withFake is withToken, with the question that KooDrive must refuse.
func withFake(t *testing.T, at upstream.Config) doctor.Config {
	t.Helper()
	c := withToken(t, at)
	c.AskRefusals = true
	return c
}

// withAppAndFake is withApp, with the question that KooDrive must refuse.
func withAppAndFake(t *testing.T, at upstream.Config) doctor.Config {
	t.Helper()
	c := withApp(t, at)
	c.AskRefusals = true
	return c
}

// breakAfter gives all answers after the first n a fault; nil: none.
func breakAfter(k *koodrivetest.KooDrive, n int, fault *koodrivetest.Fault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.Count() == n {
			k.SetFault(fault)
		}
		k.ServeHTTP(w, r)
	})
}

// withoutStatus removes the status of rows with a code: doctor writes it only if another answer has the same code.
func withoutStatus(d dialect.Dialect) dialect.Dialect {
	d.Codes = slices.Clone(d.Codes)
	for i := range d.Codes {
		if d.Codes[i].Code != "" {
			d.Codes[i].Status = 0
		}
	}
	return d
}
