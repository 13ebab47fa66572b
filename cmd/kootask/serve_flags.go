package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/internal/loopback"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// koodriveFlags configure the connection to KooDrive.
type koodriveFlags struct {
	UpstreamURL       string `group:"KooDrive" placeholder:"URL" help:"Address of KooDrive, like https://cn.myhuaweicloud-koodrive.com. Required."`
	UpstreamAllowHTTP bool   `group:"KooDrive" help:"Allow an http address. Credentials then travel unencrypted."`
	UpstreamCA        string `group:"KooDrive" placeholder:"FILE" help:"PEM file with the certificates to trust for KooDrive. Default: the system's."`
	UpstreamProxy     string `group:"KooDrive" placeholder:"URL" help:"HTTP proxy for requests to KooDrive. Default: none; the environment's proxy is never used."`
	UpstreamDialect   string `group:"KooDrive" placeholder:"FILE" help:"YAML file with the differences between KooDrive and its documents: see docs/koodrive.md. Read at the start only."`
}

// appFlags choose the credential that KooDrive sees.
type appFlags struct {
	UpstreamAuth  string `group:"KooDrive" enum:"caller,app" default:"caller" help:"Credential that KooDrive sees: caller (each caller's own) or app (this service's, for the user named in x-user-id)."`
	AppID         string `group:"KooDrive" placeholder:"ID" help:"AppId of the app. Requires --upstream-auth=app."`
	AppSecretFile string `group:"KooDrive" placeholder:"FILE" help:"File with the AppSecret. During a rotation it has two lines: the first signs, and the second is tried if KooDrive rejects the first. Requires --upstream-auth=app."`
}

// serviceFlags are the common flags of serve and demo.
type serviceFlags struct {
	appFlags
	AppRPSPerUser       int           `group:"KooDrive" name:"app-rps-per-user" default:"0" help:"Maximum requests per second for each user of the app (burst: 10 times that). Above it calls fail with CALLER_LIMIT_REACHED and watches poll less often. 0: no limit. Requires --upstream-auth=app."`
	UpstreamTimeout     time.Duration `group:"KooDrive" default:"10s" help:"Timeout of one request to KooDrive, at most 1m."`
	UpstreamRPS         int           `group:"KooDrive" default:"50" help:"Maximum requests per second to KooDrive. With --upstream-auth=app it must be below the app's quota at KooDrive."`
	UpstreamConcurrency int           `group:"KooDrive" default:"64" help:"Maximum concurrent requests to KooDrive. One caller gets at most 50 % of them."`

	GRPCAddr  string `group:"Ports" default:"127.0.0.1:9090" help:"Address of the gRPC port. Port 0 picks a free one."`
	HTTPAddr  string `group:"Ports" default:"127.0.0.1:8080" help:"Address of the HTTP port, for REST, JSON lines and server-sent events."`
	Console   bool   `group:"Ports" default:"true" negatable:"" help:"Serve the page at / and the API reference at /docs on the HTTP port."`
	AdminAddr string `group:"Ports" default:"127.0.0.1:9091" help:"Address of the operator's port: /metrics, /healthz, /readyz and, on a loopback address, /debug/pprof. Empty: off."`

	MaxConnections int `group:"Ports" default:"0" help:"Maximum connections to the gRPC port, and to the HTTP port. One address may have 50 % of them, unless --trusted-hops is set. 0: derived from the limit on open files."`

	PollMin        time.Duration `group:"Watches" default:"1s" help:"Interval between polls of a watched task after a change."`
	PollMax        time.Duration `group:"Watches" default:"15s" help:"Longest interval between polls while nothing changes: at most 10m, because KooDrive's sessions end after 20m."`
	PollBackoffMax time.Duration `group:"Watches" default:"60s" help:"Longest interval between polls while KooDrive fails."`
	Heartbeat      time.Duration `group:"Watches" default:"8s" help:"Silence after which a watch gets a heartbeat: 1s to 15s. Some clients and proxies take 10s of silence for a broken stream."`
	StaleAfter     time.Duration `group:"Watches" default:"5m" help:"Time without a usable answer from KooDrive after which a watch ends: at least 1.2 times --poll-max plus --upstream-timeout."`
	WatchLifetime  time.Duration `group:"Watches" default:"30m" help:"Duration after which a watch ends, ±20 %."`

	MaxTasks              int `group:"Watches" default:"100000" help:"Maximum watched tasks. A task with many watchers counts once."`
	MaxTasksPerCredential int `group:"Watches" default:"1000" help:"Maximum tasks watched with one credential."`
	NewTasksPerPeer       int `group:"Watches" default:"20" help:"New tasks per second that one address may start (burst: 10 times that)."`

	ShutdownGrace time.Duration `default:"20s" help:"Maximum duration of a stop. Calls that are still in flight then are cut off."`
	LogLevel      slog.Level    `default:"info" help:"Minimum level of log lines: debug, info, warn or error."`
	LogFormat     string        `enum:"json,text," default:"" help:"Format of the log: json or text. Default: text on a terminal, otherwise json."`
}

// readDialect returns the dialect of a flag's file; the default without a file.
func readDialect(p *problems, flag, file string) *dialect.Dialect {
	var overlay []byte
	if file != "" {
		var err error
		if overlay, err = credfile.Read(file); err != nil {
			p.add(flag, err)
			return nil
		}
	}
	d, err := dialects.Parse(overlay)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			p.add(flag, fmt.Errorf("%s:%s", file, line))
		}
	}
	return &d
}

// config returns the config of the connection to KooDrive.
func (f koodriveFlags) config(p *problems, files *reload.Files) upstream.Config {
	config := upstream.Config{BaseURL: f.UpstreamURL, AllowHTTP: f.UpstreamAllowHTTP}
	if f.UpstreamCA != "" {
		roots, err := reload.Read(files, "upstream-ca", []string{f.UpstreamCA}, parsePool)
		p.add("upstream-ca", err)
		config.RootCAs = roots
	}
	if f.UpstreamProxy != "" {
		proxy, err := parseProxy(f.UpstreamProxy)
		p.add("upstream-proxy", err)
		config.Proxy = proxy
	}
	_, err := upstream.NewClient(config)
	p.add("upstream-url", err)
	return config
}

// parsePool parses the certificates in the only file of a group.
func parsePool(files []credfile.File) (*x509.CertPool, error) { return files[0].Pool() }

// parseProxy parses the URL of an HTTP proxy. Its error does not contain the URL's password.
func parseProxy(text string) (*url.URL, error) {
	proxy, err := url.Parse(text)
	if err != nil || proxy.Host == "" || proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, errors.New("must be a URL like http://proxy.example:3128")
	}
	return proxy, nil
}

// readCertificates returns a pool of the certificates in a file.
func readCertificates(file string) (*x509.CertPool, error) {
	content, err := credfile.Read(file)
	if err != nil {
		return nil, err
	}
	return credfile.File{Name: file, Content: content}.Pool()
}

// koodriveSession is the time without a request after which KooDrive ends a session. maxPoll, the longest interval
// between polls, keeps sessions alive.
const (
	koodriveSession = 20 * time.Minute
	maxPoll         = koodriveSession / 2
)

// maxTimeout is the maximum of --upstream-timeout.
const maxTimeout = time.Minute

// maxLifetime is the maximum of --watch-lifetime. A watch keeps a KooDrive session alive.
const maxLifetime = 24 * time.Hour

// config returns the config of the service.
func (f serviceFlags) config(p *problems, koodrive upstream.Config, files *reload.Files, log *logging.Log) server.Config {
	koodrive.Timeout, koodrive.PerSecond, koodrive.AtOnce = f.UpstreamTimeout, f.UpstreamRPS, f.UpstreamConcurrency
	for _, n := range []struct {
		flag  string
		value int
	}{
		{"upstream-rps", f.UpstreamRPS}, {"upstream-concurrency", f.UpstreamConcurrency}, {"max-tasks", f.MaxTasks},
		{"max-tasks-per-credential", f.MaxTasksPerCredential}, {"new-tasks-per-peer", f.NewTasksPerPeer},
	} {
		if n.value < 1 {
			p.add(n.flag, errors.New("must be at least 1"))
		}
	}
	connections, err := maxConnections(f.MaxConnections, openFiles(), f.UpstreamConcurrency)
	p.add("max-connections", err)
	config := server.Config{
		Upstream: koodrive,
		Service: service.Config{
			App: f.app(p, files), PollMin: f.PollMin, PollMax: f.PollMax, PollBackoffMax: f.PollBackoffMax,
			Heartbeat: f.Heartbeat, StaleAfter: f.StaleAfter, WatchLifetime: f.WatchLifetime,
			Quota: quota.Config{
				MaxTasks: f.MaxTasks, MaxTasksPerCredential: f.MaxTasksPerCredential, NewTasksPerPeer: f.NewTasksPerPeer,
				AppRequestsPerUser: f.AppRPSPerUser,
			},
		},
		Grace: f.ShutdownGrace, LocalHosts: f.UpstreamAuth == "app", Console: f.Console,
		MaxConnections: connections,
		Log:            log.Logger, LogMetrics: log,
		Files: files,
	}
	for _, d := range []struct {
		flag      string
		value     time.Duration
		low, high time.Duration
	}{
		{"upstream-timeout", f.UpstreamTimeout, 1, maxTimeout},
		{"poll-min", f.PollMin, 1, maxPoll},
		{"poll-max", f.PollMax, 1, maxPoll},
		{"poll-backoff-max", f.PollBackoffMax, 1, maxPoll},
		{"heartbeat", f.Heartbeat, time.Second, service.MaxHeartbeat},
		{"stale-after", f.StaleAfter, 1, time.Hour},
		{"watch-lifetime", f.WatchLifetime, 1, maxLifetime},
		{"shutdown-grace", f.ShutdownGrace, 1, time.Hour},
	} {
		if d.value < d.low || d.value > d.high {
			p.add(d.flag, fmt.Errorf("must be from %v to %v", d.low, d.high))
		}
	}
	if f.PollMin > f.PollMax {
		p.add("poll-max", fmt.Errorf("must not be less than --poll-min, %v", f.PollMin))
	}
	// A shorter time would end watches of tasks that do not change, between two polls.
	if least := time.Duration((1+watch.JitterShare)*float64(f.PollMax)) + f.UpstreamTimeout; f.StaleAfter < least {
		p.add("stale-after", fmt.Errorf("must be at least 1.2 times --poll-max plus --upstream-timeout: %v", least))
	}
	if f.PollMin > f.PollBackoffMax {
		p.add("poll-backoff-max", fmt.Errorf("must not be less than --poll-min, %v", f.PollMin))
	}
	return config
}

// delay sets the part of a stop in which only health and /readyz change.
func (serviceFlags) delay(p *problems, delay time.Duration, config *server.Config) {
	if delay < 0 || delay > time.Hour {
		p.add("shutdown-delay", errors.New("must be from 0s to 1h; at most 25 % of --shutdown-grace takes effect"))
	}
	config.ShutdownDelay = delay
}

// app returns the app that signs requests; nil in caller mode.
func (f serviceFlags) app(p *problems, files *reload.Files) *upstream.App {
	switch {
	case f.UpstreamAuth == "app" && (f.AppRPSPerUser < 0 || f.AppRPSPerUser > f.UpstreamRPS):
		p.add("app-rps-per-user", errors.New("must be from 1 to --upstream-rps, or 0 for no limit"))
	case f.UpstreamAuth != "app" && f.AppRPSPerUser != 0:
		p.add("app-rps-per-user", errors.New("requires --upstream-auth=app"))
	}
	return f.appFlags.app(p, files)
}

func (f appFlags) app(p *problems, files *reload.Files) *upstream.App {
	if f.UpstreamAuth != "app" {
		unused := errors.New("requires --upstream-auth=app")
		if f.AppID != "" {
			p.add("app-id", unused)
		}
		if f.AppSecretFile != "" {
			p.add("app-secret-file", unused)
		}
		return nil
	}
	if f.AppID == "" {
		p.add("app-id", errors.New("required with --upstream-auth=app"))
	}
	if f.AppSecretFile == "" {
		p.add("app-secret-file", errors.New("required with --upstream-auth=app"))
		return nil
	}
	secrets, err := reload.Read(files, "app-secret", []string{f.AppSecretFile}, parseSecrets)
	p.add("app-secret-file", err)
	app := &upstream.App{ID: f.AppID, Secrets: secrets}
	if err == nil && f.AppID != "" {
		p.add("app-id", app.Check())
	}
	return app
}

// parseSecrets parses the only file of a group, with an app's secret, or with two during a rotation, one per line.
func parseSecrets(files []credfile.File) (secrets []secret.Value, err error) {
	lines, err := files[0].Lines()
	if err != nil {
		return nil, err
	}
	if len(lines) > 2 {
		return nil, fmt.Errorf("%s has more than two lines", files[0].Name)
	}
	for _, line := range lines {
		secrets = append(secrets, secret.New(line))
	}
	return secrets, nil
}

// onlyLoopback reports ports on other than loopback addresses as problems.
func (f serviceFlags) onlyLoopback(p *problems, when string) {
	for _, port := range [][2]string{{"grpc-addr", f.GRPCAddr}, {"http-addr", f.HTTPAddr}} {
		if host, _, err := net.SplitHostPort(port[1]); err == nil && !loopback.Host(host) {
			p.add(port[0], errors.New("must be a loopback address "+when))
		}
	}
}

// checkPorts reports invalid addresses of ports.
func (f serviceFlags) checkPorts(p *problems) {
	for _, port := range [][2]string{
		{"grpc-addr", f.GRPCAddr}, {"http-addr", f.HTTPAddr}, {"admin-addr", cmp.Or(f.AdminAddr, ":0")},
	} {
		_, err := net.ResolveTCPAddr("tcp", port[1])
		p.add(port[0], err)
	}
}

// listen opens the ports. If one cannot be opened, it reports the problem and closes the others.
func (f serviceFlags) listen(p *problems) (l server.Listeners) {
	config := net.ListenConfig{Control: limitSilence}
	config.SetMultipathTCP(false) // Multipath TCP does not support TCP_USER_TIMEOUT: see limitSilence.
	open := func(flag, address string) net.Listener {
		listener, err := config.Listen(context.Background(), "tcp", address)
		p.add(flag, wayOut(flag, address, err))
		return listener
	}
	l.GRPC = open("grpc-addr", f.GRPCAddr)
	l.HTTP = open("http-addr", f.HTTPAddr)
	if f.AdminAddr != "" {
		l.Admin = open("admin-addr", f.AdminAddr)
	}
	if p.err() != nil {
		for _, listener := range []net.Listener{l.GRPC, l.HTTP, l.Admin} {
			if listener != nil {
				_ = listener.Close()
			}
		}
	}
	return l
}

// wayOut adds a solution to the error for an address in use.
func wayOut(flag, address string, err error) error {
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w. Stop the process that uses it, or choose another address: --%s=%s takes a free port",
		err, flag, net.JoinHostPort(host, "0"))
}

// log returns the log, which is written to stderr from a level on.
func (f serviceFlags) log(stderr io.Writer, level slog.Leveler) *logging.Log {
	file, isFile := stderr.(*os.File)
	text := f.LogFormat == "text" || f.LogFormat == "" && isFile && term.IsTerminal(int(file.Fd()))
	return logging.New(stderr, func(to io.Writer) slog.Handler {
		if text {
			return slog.NewTextHandler(to, &slog.HandlerOptions{Level: level})
		}
		return logging.JSON(to, level)
	})
}
