package kootask_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/certificates"
)

// listen returns a listener on a port of this machine.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// serve serves a listener, and ends that with the test.
func serve(t *testing.T, listener net.Listener, server *grpc.Server) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
}

// failures returns the errors with which a get, a watch, a list and a wait end.
func failures(t *testing.T, c *kootask.Client) map[string]*kootask.Error {
	t.Helper()
	all := map[string]*kootask.Error{}
	note := func(call string, err error) {
		var failure *kootask.Error
		if !errors.As(err, &failure) {
			t.Fatalf("%s: %v", call, err)
		}
		all[call] = failure
	}
	_, err := c.Get(t.Context(), "9")
	note("get", err)
	_, err = watch(t.Context(), c)
	note("watch", err)
	_, err = watchAll(t.Context(), c, numbered(250))
	note("list", err)
	_, err = c.Wait(t.Context(), "9")
	note("wait", err)
	return all
}

// An error says what is wrong with the address.
func TestWrongAddress(t *testing.T) {
	authority := certificates.NewCA()
	certificate := authority.Server("127.0.0.1").TLS
	trusting := &tls.Config{RootCAs: authority.Pool()}
	secure, mutual, plain, chatty := listen(t), listen(t), listen(t), listen(t)
	serve(t, secure, grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate))))
	serve(t, mutual, grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12,
	}))))
	serve(t, plain, grpc.NewServer())
	go func() {
		for {
			conn, err := chatty.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 hello\r\n")
			_ = conn.Close()
		}
	}()
	nobody := "127.0.0.1:" + closedPort(t)
	const noKootask = " is not kootask's gRPC port, or its kootask is older than this client"
	for name, row := range map[string]struct {
		addr   string
		config *tls.Config
		want   string // The beginning of the message, with ADDR. Empty: nothing but the library's.
	}{
		"nobody":                     {nobody, nil, "nothing listens at ADDR"},
		"nobody, TLS":                {nobody, trusting, "nothing listens at ADDR"},
		"plaintext to TLS":           {secure.Addr().String(), nil, "ADDR speaks TLS, and this client does not (set Config.TLS)"},
		"plaintext to mTLS":          {mutual.Addr().String(), nil, "ADDR speaks TLS, and this client does not (set Config.TLS)"},
		"TLS to plaintext":           {plain.Addr().String(), trusting, "ADDR does not speak TLS, and this client does (leave Config.TLS nil for plaintext)"},
		"a server without kootask":   {plain.Addr().String(), nil, "ADDR" + noKootask},
		"the same over TLS":          {secure.Addr().String(), trusting, "ADDR" + noKootask},
		"a certificate of strangers": {secure.Addr().String(), &tls.Config{}, ""},
		"something else":             {chatty.Addr().String(), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := kootask.New(kootask.Config{Addr: row.addr, TLS: row.config})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			for call, failure := range failures(t, c) {
				library := status.Convert(failure).Message()
				want := library
				if row.want != "" {
					want = strings.ReplaceAll(row.want, "ADDR", row.addr) + ": " + library
				}
				if failure.Message != want || library == "" || failure.Reason != "" {
					t.Errorf("%s: %v, want %q", call, failure, want)
				}
			}
		})
	}
}

// Once kootask has answered, its absence is not a wrong address. Where the caller connects, the client does not look.
func TestRightAddressIsNotProbed(t *testing.T) {
	listener := listen(t)
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, &scripted{watch: []func(stream) error{say(nil, success)}})
	serve(t, listener, server)
	met, err := kootask.New(kootask.Config{Addr: listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = met.Close() }()
	if _, err := watch(t.Context(), met); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	dialled, err := kootask.New(kootask.Config{
		Addr: listener.Addr().String(), DialOptions: []grpc.DialOption{grpc.WithUserAgent("mine")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dialled.Close() }()
	for name, c := range map[string]*kootask.Client{"met": met, "dialled": dialled} {
		_, err := c.Get(t.Context(), "9")
		if err == nil || strings.Contains(err.Error(), "nothing listens") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
