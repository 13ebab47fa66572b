package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// at is a listener with another address.
type at struct {
	*koodrivetest.Listener
	addr net.Addr
}

func (l at) Addr() net.Addr { return l.addr }

// Profiles show the content of the memory, so they are served on loopback addresses only.
func TestProfilesAreForThisMachine(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 9091} }
	for name, row := range map[string]struct {
		addr net.Addr
		want int
	}{
		"IPv4":             {tcp("127.0.0.1"), 200},
		"another loopback": {tcp("127.8.8.8"), 200},
		"IPv6":             {tcp("::1"), 200},
		"all of IPv4":      {tcp("0.0.0.0"), 404},
		"all of IPv6":      {tcp("::"), 404},
		"everything":       {&net.TCPAddr{Port: 9091}, 404},
		"a network's":      {tcp("192.0.2.1"), 404},
		"a private one":    {tcp("10.0.0.1"), 404},
		"a link's":         {&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 9091}, 404},
		"a socket's":       {&net.UnixAddr{Name: "/run/127.0.0.1:9091", Net: "unix"}, 404},
		"none":             {koodrivetest.Listen().Addr(), 404},
	} {
		t.Run(name, func(t *testing.T) {
			onAdminPort(t, row.addr, func(t *testing.T, client *http.Client) {
				for path, want := range map[string]int{
					"/debug/pprof/": row.want, "/debug/pprof/cmdline": row.want, "/debug/pprof/symbol": row.want, "/debug/pprof/heap": row.want,
					"/debug/pprof/goroutine?debug=2": row.want, "/debug/pprof/profile?seconds=x": row.want, "/metrics": 200, "/healthz": 200, "/readyz": 200,
				} {
					if strings.Contains(path, "profile?") && want == 200 {
						continue // It takes real time.
					}
					resp, err := client.Get("http://localhost" + path)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					if resp.StatusCode != want {
						t.Errorf("%s: HTTP %d", path, resp.StatusCode)
					}
				}
			})
		})
	}
}

// On a loopback address the admin port answers only requests for loopback hosts; on other addresses, for any host. It always
// refuses a request that a browser marks as another site's.
func TestAdminPortAnswersItsOwnSiteOnly(t *testing.T) {
	local, pod := net.IPv4(127, 0, 0, 1), net.IPv4(10, 1, 2, 3)
	for name, row := range map[string]struct {
		ip   net.IP
		host string
		site []string
		want int
	}{
		"a name that was made to lead here":        {local, "evil.example:9091", nil, 403},
		"a name that begins like a local one":      {local, "127.0.0.1.evil.example", nil, 403},
		"an address of this machine":               {local, "192.0.2.1:9091", nil, 403},
		"everywhere":                               {local, "0.0.0.0:9091", nil, 403},
		"localhost":                                {local, "localhost:9091", nil, 200},
		"IPv4":                                     {local, "127.0.0.1", nil, 200},
		"IPv6":                                     {local, "[::1]:9091", nil, 200},
		"a user types the address":                 {local, "localhost", []string{"none"}, 200},
		"a link on the port's own page":            {local, "localhost", []string{"same-origin"}, 200},
		"another site's page":                      {local, "localhost", []string{"cross-site"}, 403},
		"another port's page":                      {local, "localhost", []string{"same-site"}, 403},
		"a word of the future":                     {local, "localhost", []string{"other"}, 403},
		"nothing":                                  {local, "localhost", []string{""}, 403},
		"two words":                                {local, "localhost", []string{"none", "cross-site"}, 403},
		"Prometheus asks a pod":                    {pod, "10.1.2.3:9091", nil, 200},
		"a service's name":                         {pod, "kootask.monitoring.svc", nil, 200},
		"another site's page, for a pod":           {pod, "10.1.2.3:9091", []string{"cross-site"}, 403},
		"another site's page, for a pod's name":    {pod, "evil.example", []string{"same-site"}, 403},
		"a user types a pod's address":             {pod, "10.1.2.3:9091", []string{"none"}, 200},
		"localhost, which a tunnel leads to a pod": {pod, "localhost", []string{"same-origin"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			onAdminPort(t, &net.TCPAddr{IP: row.ip, Port: 9091}, func(t *testing.T, client *http.Client) {
				for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/cmdline", "/nowhere"} {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+row.host+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					r.Header["Sec-Fetch-Site"] = row.site
					resp, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					want := row.want
					if want == http.StatusOK && (path == "/nowhere" || row.ip.Equal(pod) && strings.HasPrefix(path, "/debug")) {
						want = http.StatusNotFound
					}
					if resp.StatusCode != want {
						t.Errorf("%s: HTTP %d, want %d", path, resp.StatusCode, want)
					}
				}
			})
		})
	}
}

// onAdminPort runs test in a bubble with a client of an admin port at addr.
func onAdminPort(t *testing.T, addr net.Addr, test func(*testing.T, *http.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		config := server.Config{Log: slog.New(slog.DiscardHandler)}
		config.Upstream.BaseURL = "https://koodrive.test"
		srv, err := server.New(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		admin := koodrivetest.Listen()
		ended := make(chan error, 1)
		go func() {
			ended <- srv.Run(ctx, server.Listeners{GRPC: koodrivetest.Listen(), HTTP: koodrivetest.Listen(), Admin: at{admin, addr}})
		}()
		client := httpClient(admin)
		test(t, client)
		client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A page of another site gets nothing from the admin port through the operator's browser.
func TestAdminAnswersAreGuarded(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for path, want := range map[string]int{"/": 404, "/metrics": 200, "/healthz": 200, "/readyz": 200, "/debug/pprof/": 200, "/debug/pprof/none": 404} {
			resp, err := s.admin.Get("http://localhost" + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: HTTP %d", path, resp.StatusCode)
			}
			for header, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
				"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": "",
			} {
				if got := resp.Header.Get(header); got != want {
					t.Errorf("%s: %s is %q", path, header, got)
				}
			}
			if strings.Contains(string(body), "<script") || strings.Contains(string(body), "<img") {
				t.Errorf("%s needs more than the policy allows: %s", path, body)
			}
		}
	})
}

// The public ports serve only the routes of the contract.
func TestNothingElseIsOnThePublicPorts(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Reflection = false }, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		for path, want := range map[string]int{
			"/openapi.json": 200, "/v1/tasks/" + taskID: 200, "/v1/tasks/" + taskID + ":watch": 200, "/v1/tasks/" + taskID + ":wait": 200,
			"/v1/tasks/" + taskID + ":ticket": 405, listPath(":watch", []string{taskID}): 200, listPath(":ticket", []string{taskID}): 405,
		} {
			if resp, _ := s.get(t, request(t.Context(), t, path)); resp.StatusCode != want {
				t.Errorf("%s: HTTP %d", path, resp.StatusCode)
			}
		}
		for _, path := range []string{
			"/", "/metrics", "/metrics/", "/healthz", "/readyz", "/livez", "/health", "/status", "/debug/pprof", "/debug/pprof/", "/debug/pprof/heap",
			"/debug/pprof/cmdline", "/debug/vars", "/debug/requests", "/debug/events", "/debug/rpcz", "/v1", "/v1/", "/v1/tasks", "/v1/tasks/",
			"/v1/tasks/1/2", "/v1/tasks:wait", "/v1/tasks:list", "/v1/operations/" + taskID, "/v1/tasks/../../metrics", "/v1/tasks/%2e%2e/metrics", "//metrics", "/v2/tasks/1", "/swagger.json", "/openapi.yaml",
			"/swagger-ui/", "/docs", "/robots.txt", "/favicon.ico", "/.well-known/openid-configuration", "/.git/config", "/.env", "/admin",
			"/control", "/grpc.health.v1.Health/Check", "/koodrive.task.v1.TaskService/GetTask", "/koodrive/ose/v1/tasks/" + taskID,
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				r := request(t.Context(), t, path)
				r.Method = method
				resp, body := s.get(t, r)
				if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s: HTTP %d, %.200s", method, path, resp.StatusCode, body)
				}
			}
		}
		for _, method := range []string{
			"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
			"/grpc.channelz.v1.Channelz/GetTopChannels", "/grpc.channelz.v1.Channelz/GetServers", "/grpc.admin.v1.Admin/Get",
			"/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus", "/grpc.lb.v1.LoadBalancer/BalanceLoad",
			"/koodrive.task.v1.TaskService/GetTicket", "/koodrive.task.v1.TaskService/", "/metrics", "/",
		} {
			if err := s.conn.Invoke(as(t.Context(), token), method, &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: %v", method, err)
			}
		}
	})
}
