package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/upstream"
)

// demoCommand runs the service with a stand-in for KooDrive on this machine.
type demoCommand struct {
	serviceFlags
	originFlags
	Reflection    bool          `group:"Ports" default:"true" negatable:"" help:"Enable gRPC server reflection."`
	ShutdownDelay time.Duration `default:"0s" help:"Time after SIGTERM during which only health and /readyz change. Part of --shutdown-grace, at most 25 % of it."`
}

// Run serves until ctx ends.
func (c *demoCommand) Run(ctx context.Context, out output) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p, log := &problems{}, c.log(out.stderr, c.LogLevel)
	koodrive, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	where := upstream.Config{BaseURL: "http://" + address(koodrive), AllowHTTP: true}
	config := c.config(p, where, &reload.Files{Log: log.Logger}, log)
	c.onlyLoopback(p, "in the demonstration, which authenticates nobody")
	c.check(p)
	// Somebody who tries kootask from a page on this machine, such as that of a dev server, needs no flag for it.
	config.Reflection, config.Origins, config.LocalOrigins = c.Reflection, c.CORSOrigin, true
	c.delay(p, c.ShutdownDelay, &config)
	config.Demo = offer(config.Service.App != nil)
	s, listeners, err := c.open(p, config)
	if err != nil {
		return errors.Join(err, koodrive.Close())
	}
	k := newKooDrive()
	as := guest{
		"Authorization: Bearer " + demoToken,
		tokenVariable + "=" + demoToken + " " + os.Args[0] + " watch",
		"the token " + demoToken,
	}
	if app := config.Service.App; app != nil {
		k.AddApp(app.ID, app.Secrets()[0].Reveal())
		as = guest{
			"X-User-Id: " + demoUser, os.Args[0] + " watch --user-id=" + demoUser, "the KooDrive user id " + demoUser,
		}
	}
	// KooDrive stops last, so that the service stops as it does with the real KooDrive.
	koodriveStopped := make(chan error, 1)
	go func() { koodriveStopped <- serveKooDrive(ctx, koodrive, k) }()
	_, _ = fmt.Fprint(out.stdout, c.invitation(listeners, where.BaseURL, as))
	err = c.run(ctx, s, listeners, log)
	stop()
	return errors.Join(err, <-koodriveStopped)
}

// guest has the caller's credential, in the forms that the demonstration prints.
type guest struct {
	header string // A header for curl.
	watch  string // A shell command that watches tasks.
	form   string // The credential to enter on the page.
}

// invitation returns the text that the demonstration prints.
func (c *demoCommand) invitation(l server.Listeners, koodrive string, as guest) string {
	site, grpc := "http://"+address(l.HTTP), address(l.GRPC)
	rest, pages := site+"/v1/tasks/", ""
	if c.Console {
		pages = fmt.Sprintf("Watch tasks in a browser, with %s: %s/\n"+
			"Read about the API there, and try it: %s/docs\n\n", as.form, site, site)
	}
	if grpc != defaultGRPCAddr {
		as.watch += " --addr=" + grpc
	}
	return fmt.Sprintf(`kootask is running, with a stand-in for KooDrive. End it with Ctrl-C.

  gRPC   %s
  HTTP   %s
  admin  %s
  KooDrive's stand-in  %s

%s
%sGet a task:
curl -H '%s' %s1534087020903704704

Watch a task through a %.0f s outage of KooDrive:
%s 1534087020903704716

Watch a task go from NEW through EXECUTING to SUCCESS, as JSON lines:
curl -N -H '%s' %s1534087020903704713:watch

Watch a task as server-sent events:
curl -N -H 'Accept: text/event-stream' -H '%s' %s1534087020903704714:watch

Watch a task over gRPC:
go tool -modfile=tools/go.mod grpcurl -plaintext -H '%s' -d '{"task_id": "1534087020903704715"}' %s koodrive.task.v1.TaskService/WatchTask
`, grpc, site, address(l.Admin), koodrive, inventory(), pages,
		as.header, rest, outage.Seconds(), as.watch, as.header, rest, as.header, rest, as.header, grpc)
}

// defaultGRPCAddr is the default of the server's and the client's flag.
const (
	defaultGRPCAddr = "127.0.0.1:" + defaultGRPCPort
	defaultGRPCPort = "9090"
)
