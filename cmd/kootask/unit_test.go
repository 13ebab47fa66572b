package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unit returns the text of the unit in deploy.
func unit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(root + "/deploy/kootask.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// setting returns the value of a key that stands once in the unit.
func setting(t *testing.T, key string) string {
	t.Helper()
	all := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(unit(t), -1)
	if len(all) != 1 {
		t.Fatalf("deploy/kootask.service has %d lines %s=", len(all), key)
	}
	return all[0][1]
}

// systemdAnalyze returns what systemd-analyze reports about a unit, and whether it accepts the unit.
func systemdAnalyze(t *testing.T, text string, args ...string) (report string, accepted bool) {
	t.Helper()
	analyze := need(t, "systemd unit")
	// The unit's program may not be installed, or be another version.
	text = strings.Replace(text, "ExecStart=/usr/bin/kootask ", "ExecStart="+program+" ", 1)
	path := filepath.Join(t.TempDir(), "kootask.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, append(args, path)...).CombinedOutput()
	return string(out), err == nil
}

// systemd understands every line of the unit. The second unit shows that the check notices one that it does not understand.
func TestUnitIsValid(t *testing.T) {
	verify := []string{"verify", "--man=no", "--recursive-errors=no"}
	if report, accepted := systemdAnalyze(t, unit(t), verify...); !accepted || report != "" {
		t.Error(report)
	}
	wrong := strings.Replace(unit(t), "\nProtectClock=", "\nProtectTime=", 1)
	if report, _ := systemdAnalyze(t, wrong, verify...); !strings.Contains(report, "ProtectTime") {
		t.Errorf("a wrong key is not reported: %q", report)
	}
}

// The unit's exposure is at most 2.0 of 10. The second unit shows that the check notices a line that is left out.
func TestUnitIsHardened(t *testing.T) {
	security := []string{"security", "--offline=true", "--threshold=20", "--no-pager"}
	if report, accepted := systemdAnalyze(t, unit(t), security...); !accepted {
		t.Error(report)
	}
	weak := strings.Replace(unit(t), "\nSystemCallFilter=@system-service", "\nSystemCallFilter=", 1)
	weak = strings.Replace(weak, "\nCapabilityBoundingSet=", "\n#", 1)
	if report, accepted := systemdAnalyze(t, weak, security...); accepted {
		t.Error("a weak unit is accepted:\n" + report)
	}
}

// A service that systemd ends for want of a sign of life is started again: its end is not that of an invalid configuration.
func TestUnitRestartsADeadlockedService(t *testing.T) {
	p := start(t, []string{setting(t, "Environment")}, append([]string{"serve", "--upstream-allow-http", "--upstream-url=http://127.0.0.1:1"}, anyPorts...)...)
	p.says(t, `"msg":"(serving)"`)
	p.signal(t, syscall.SIGABRT)
	if state := p.ends(t, time.Minute); state.Exited() {
		t.Errorf("after SIGABRT: %v", state)
	}
}

// byDefault returns the default of a flag of serve, by the name of its field.
func byDefault(t *testing.T, field string) string {
	t.Helper()
	f, ok := reflect.TypeFor[serveCommand]().FieldByName(field)
	if !ok {
		t.Fatalf("serve has no field %s", field)
	}
	return f.Tag.Get("default")
}

// The numbers of the unit fit the defaults of the flags.
func TestUnitFitsTheFlags(t *testing.T) {
	duration := func(text string) time.Duration {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if timeout, longest := duration(setting(t, "TimeoutStopSec")), longestStop(duration(byDefault(t, "ShutdownGrace"))); timeout < longest {
		t.Errorf("TimeoutStopSec=%v, and a stop may take %v", timeout, longest)
	}
	if got := number(setting(t, "RestartPreventExitStatus")); got != exitUsage {
		t.Errorf("RestartPreventExitStatus=%d, and an invalid configuration ends with %d", got, exitUsage)
	}
	connections, err := maxConnections(0, number(setting(t, "LimitNOFILE")), number(byDefault(t, "UpstreamConcurrency")))
	if err != nil {
		t.Fatal(err)
	}
	// docs/performance.md#sizing plans for 50,000 watchers with a connection each.
	if connections < 50_000 {
		t.Errorf("LimitNOFILE leaves %d connections for each port, of at least 50000", connections)
	}
	if figure := fmt.Sprintf("%d,%03d", connections/1000, connections%1000); !strings.Contains(unit(t), figure) {
		t.Errorf("the comment on LimitNOFILE lacks the number of connections, %s", figure)
	}
}
