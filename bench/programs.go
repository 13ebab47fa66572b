package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// server is a process with its port, and the port at which it is told to change; empty if it has none.
type server struct {
	*process
	addr, control string
}

// program starts one of this module's programs. With control, it gets a control port, which has the profiles too.
func (b *bench) program(ctx context.Context, name string, control bool, flags ...string) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	argv := append([]string{filepath.Join(b.bin, name), "-addr", addr}, flags...)
	s := &server{addr: addr}
	if control {
		if s.control, err = freeAddr(); err != nil {
			return nil, err
		}
		argv = append(argv, "-control", s.control)
	}
	if s.process, err = b.start(ctx, name+addr[len("127.0.0.1:"):], addr, argv...); err == nil {
		s.profiles = s.control
	}
	return s, err
}

// koodrive starts the stand-in for KooDrive, with a latency.
func (b *bench) koodrive(ctx context.Context, latency time.Duration) (*server, error) {
	return b.program(ctx, "koodrive", true, "-latency", latency.String())
}

// requests returns the number of requests that KooDrive's stand-in has had.
func (s *server) requests() (float64, error) { return number("http://" + s.control + "/requests") }

// kootask is the product, with the stand-in that it asks.
type kootask struct {
	*server         // The gRPC port, and the stand-in's control port.
	http    string  // The address of the HTTP port.
	behind  *server // The stand-in.
}

// kootask starts KooDrive's stand-in and kootask, with additional flags. Limits that one machine's load would reach are
// raised, and everything else is as it is by default. The log goes to a file. stopAll fails if a line was dropped.
func (b *bench) kootask(ctx context.Context, latency time.Duration, flags ...string) (*kootask, error) {
	behind, err := b.koodrive(ctx, latency)
	if err != nil {
		return nil, err
	}
	ports := make([]string, 3)
	for i := range ports {
		if ports[i], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	argv := append([]string{
		b.kootaskPath, "serve", "--upstream-allow-http", "--upstream-url=http://" + behind.addr,
		"--grpc-addr=" + ports[0], "--http-addr=" + ports[1], "--admin-addr=" + ports[2], "--log-format=json",
		"--upstream-rps=1000000", "--upstream-concurrency=256",
		"--new-tasks-per-peer=1000000", "--max-tasks-per-credential=100000",
	}, flags...)
	p, err := b.start(ctx, "kootask", ports[2], argv...)
	if err != nil {
		return nil, err
	}
	p.profiles = ports[2]
	p.check = func() error {
		dropped, err := metric(ports[2], "kootask_log_dropped_total")
		if err == nil && dropped > 0 {
			err = fmt.Errorf("kootask dropped %.0f lines of its log", dropped)
		}
		return err
	}
	return &kootask{server: &server{process: p, addr: ports[0], control: behind.control}, http: ports[1], behind: behind}, nil
}

// etcd starts etcd with an empty store.
func (b *bench) etcd(ctx context.Context) (*server, error) {
	client, err := freeAddr()
	if err != nil {
		return nil, err
	}
	peer, err := freeAddr()
	if err != nil {
		return nil, err
	}
	store := filepath.Join(b.dir, "etcd")
	if err := os.RemoveAll(store); err != nil {
		return nil, err
	}
	p, err := b.start(ctx, "etcd", client, filepath.Join(b.bin, "etcd"),
		"--data-dir", store, "--log-level", "error", "--unsafe-no-fsync",
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", "default=http://"+peer)
	if err != nil {
		return nil, err
	}
	return &server{process: p, addr: client}, pause(ctx, 2*time.Second) // It has no leader yet.
}

// nchanConfig is nginx with nchan, which keeps the last message of one channel.
const nchanConfig = `load_module modules/ngx_nchan_module.so;
worker_processes 2; worker_rlimit_nofile %[3]d; daemon off; pid %[1]s/nginx.pid; error_log stderr warn;
events { worker_connections 16384; }
http {
  access_log off; nchan_shared_memory_size 256M;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s;
    location /v1/tasks/ { nchan_subscriber eventsource; nchan_channel_id t1; nchan_subscriber_first_message newest; }
    location = /publish { nchan_publisher; nchan_channel_id t1; nchan_message_buffer_length 1; }
  }
}
`

// nchan starts nginx with nchan.
func (b *bench) nchan(ctx context.Context) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nchanConfig, b.dir, addr, openFiles()), 0o644); err != nil {
		return nil, err
	}
	p, err := b.start(ctx, "nginx", addr, nginx, "-c", config, "-e", "stderr")
	return &server{process: p, addr: addr, control: addr}, err
}

// stopAll ends all processes, the last one first.
func (b *bench) stopAll() (err error) {
	for _, p := range slices.Backward(b.running) {
		if p.check != nil {
			err = errors.Join(err, p.check())
		}
		err = errors.Join(err, p.stop())
	}
	b.running = nil
	return err
}

// pause waits, unless the run is stopped.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
