package upstream_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// All tests run with a proxy in the environment, which must not be used: connect fails if it is dialled.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		_ = os.Setenv(name, "http://proxy.test:3128")
	}
	goleak.VerifyTestMain(m)
}

const (
	exampleID = "1534087020903704704"
	token     = "0123456789abcdef"
	userID    = "1395497048157130881"
)

var app = &upstream.App{ID: "app-one", Secrets: upstream.FixedSecrets(secret.New("s3cr3t"))}

// bubble runs test in virtual time, with a KooDrive that accepts token and app, and a client for it.
func bubble(t *testing.T, test func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddToken(token, 0)
		k.AddApp("app-one", "s3cr3t")
		test(t, k, connect(t, k, upstream.Config{}))
	})
}

// connect serves handler in memory, and returns a client for it.
func connect(t *testing.T, handler http.Handler, config upstream.Config) *upstream.Client {
	t.Helper()
	return connectTo(t, handler, koodrivetest.Listen(), config)
}

// connectTo is connect over a listener.
func connectTo(t *testing.T, handler http.Handler, listener *koodrivetest.Listener, config upstream.Config) *upstream.Client {
	t.Helper()
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	if config.Dial == nil {
		config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "koodrive.test:80" {
				t.Errorf("dialled %s", address)
			}
			return listener.Dial(ctx, network, address)
		}
	}
	config.BaseURL, config.AllowHTTP = "http://koodrive.test", true
	c, err := upstream.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
	})
	return c
}

func query(t *testing.T, c *upstream.Client) upstream.Query {
	t.Helper()
	credential, err := upstream.Forward(secret.New("Bearer+"+token), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return prepared(t, c, credential)
}

func signedQuery(t *testing.T, c *upstream.Client) upstream.Query {
	t.Helper()
	credential, err := app.As(userID)
	if err != nil {
		t.Fatal(err)
	}
	return prepared(t, c, credential)
}

// prepared is a query for the task of KooDrive's documented example.
func prepared(t *testing.T, c *upstream.Client, credential upstream.Credential) upstream.Query {
	t.Helper()
	q, err := c.Query(credential, exampleID)
	if err != nil {
		t.Fatal(err)
	}
	return q
}
