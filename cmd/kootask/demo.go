package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kootask/kootask/cmd/kootask/reload"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/upstream"
)

// demoCommand runs the service with a KooDrive of its own.
type demoCommand struct {
	serviceFlags
	Reflection    bool          `group:"Ports" default:"true" negatable:"" help:"Let gRPC clients ask for the contract."`
	ShutdownDelay time.Duration `default:"0s" help:"Part of the grace time for which, after SIGTERM, health and /readyz say no and nothing else changes: at most a quarter of it."`
}

// Run serves until ctx ends.
func (c *demoCommand) Run(ctx context.Context, out output) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p, log := &problems{}, c.log(out.stderr)
	koodrive, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	where := upstream.Config{BaseURL: "http://" + address(koodrive), AllowHTTP: true}
	config := c.config(p, where, &reload.Files{Log: log.Logger}, log)
	c.onlyLoopback(p, "in the demonstration, which asks nobody who it is")
	config.Reflection = c.Reflection
	c.delay(p, c.ShutdownDelay, &config)
	s, listeners, err := c.open(p, config)
	if err != nil {
		return errors.Join(err, koodrive.Close())
	}
	k := newKooDrive()
	header := "Authorization: Bearer " + demoToken
	if app := config.Service.App; app != nil {
		k.AddApp(app.ID, app.Secrets()[0].Reveal())
		header = "X-User-Id: " + demoUser
	}
	// KooDrive stops last, so that the stop of the service is as it always is.
	koodriveStopped := make(chan error, 1)
	go func() { koodriveStopped <- serveKooDrive(ctx, koodrive, k) }()
	page := ""
	if c.Console {
		page = "Watch tasks in a browser, with the credential of the commands below: http://" + address(listeners.HTTP) + "/\n\n"
	}
	_, _ = fmt.Fprint(out.stdout, invitation(listeners, where.BaseURL, page, header))
	err = c.run(ctx, s, listeners, log)
	stop()
	return errors.Join(err, <-koodriveStopped)
}

// invitation is what the demonstration prints.
func invitation(l server.Listeners, koodrive, page, header string) string {
	rest, grpc := "http://"+address(l.HTTP)+"/v1/tasks/", address(l.GRPC)
	return fmt.Sprintf(`kootask is running, with a KooDrive of its own. End it with Ctrl-C.

  gRPC   %s
  HTTP   http://%s
  admin  %s
  KooDrive's stand-in  %s

%s
%sAsk for a task:
curl -H '%s' %s1534087020903704704

Watch one as JSON lines:
curl -N -H '%s' %s1534087020903704713:watch

Watch one as server-sent events:
curl -N -H 'Accept: text/event-stream' -H '%s' %s1534087020903704714:watch

Watch one over gRPC:
go tool -modfile=tools/go.mod grpcurl -plaintext -H '%s' -d '{"task_id": "1534087020903704715"}' %s koodrive.task.v1.TaskService/WatchTask
`, grpc, address(l.HTTP), address(l.Admin), koodrive, inventory(), page,
		header, rest, header, rest, header, rest, header, grpc)
}
