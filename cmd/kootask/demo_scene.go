package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The credentials and tasks of KooDrive's stand-in. The README names them too.
const (
	demoToken  = "demo-alice"
	otherToken = "demo-bob"
	demoApp    = "demo-app"
	demoSecret = "demo-secret"
	demoUser   = "1395497048157130881"
)

// outage is the time for which KooDrive fails for one of the tasks.
const outage = 20 * time.Second

// scenes are the tasks of KooDrive's stand-in.
var scenes = []struct {
	id, about string
	steps     []koodrivetest.Step
}{
	{koodrivetest.Example().ID, "FAILED with 18000205: the example of KooDrive's documents", koodrivetest.Example().Steps},
	{"1534087020903704710", "NEW, and stays so", []koodrivetest.Step{{Status: koodrivetest.StatusNew}}},
	{"1534087020903704711", "EXECUTING, and stays so", []koodrivetest.Step{{Status: koodrivetest.StatusExecuting}}},
	{"1534087020903704712", "SUCCESS", []koodrivetest.Step{{Status: koodrivetest.StatusSuccess}}},
	{"1534087020903704713", "NEW, EXECUTING, SUCCESS within 15 s of the first look", life()},
	{"1534087020903704714", "the same", life()},
	{"1534087020903704715", "the same", life()},
	{"1534087020903704716", fmt.Sprintf("EXECUTING, then KooDrive answers 502 for %.0f s, then SUCCESS", outage.Seconds()),
		[]koodrivetest.Step{
			{Status: koodrivetest.StatusExecuting, For: 2 * time.Second},
			{Fault: koodrivetest.Answer(http.StatusBadGateway, ""), For: outage},
			{Status: koodrivetest.StatusSuccess},
		}},
	{"1534087020903704717", "the undocumented status 7", []koodrivetest.Step{{Status: 7}}},
}

func life() []koodrivetest.Step {
	return []koodrivetest.Step{
		{Status: koodrivetest.StatusNew, For: 4 * time.Second},
		{Status: koodrivetest.StatusExecuting, For: 8 * time.Second},
		{Status: koodrivetest.StatusSuccess},
	}
}

// newKooDrive returns a stand-in for KooDrive with these credentials and tasks.
func newKooDrive() *koodrivetest.KooDrive {
	k := koodrivetest.New()
	k.AddToken(demoToken, 0)
	k.AddToken(otherToken, 0)
	k.AddApp(demoApp, demoSecret)
	for _, scene := range scenes {
		task := koodrivetest.Example()
		task.ID, task.Steps = scene.id, scene.steps
		k.SetTask(task)
	}
	return k
}

// inventory lists the credentials and tasks, for people.
func inventory() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "Tokens: %s, %s. App: %s with the secret %s. Tasks:\n", demoToken, otherToken, demoApp, demoSecret)
	for _, scene := range scenes {
		_, _ = fmt.Fprintf(&b, "  %s  %s\n", scene.id, scene.about)
	}
	return b.String()
}

// offer returns what the page offers: the tasks, and the token, or the user where kootask signs for an app.
func offer(forApp bool) *gateway.Demo {
	demo := &gateway.Demo{Token: demoToken}
	if forApp {
		demo = &gateway.Demo{UserID: demoUser}
	}
	for _, scene := range scenes {
		demo.TaskIDs = append(demo.TaskIDs, scene.id)
	}
	return demo
}
