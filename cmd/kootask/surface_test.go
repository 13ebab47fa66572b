package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/alecthomas/kong"
	"google.golang.org/protobuf/reflect/protoreflect"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// docs/surface.txt lists what users may depend on, in sorted lines: make docs writes it. .ci/changelog compares its history
// with CHANGELOG.md's.
func TestSurface(t *testing.T) {
	lines := slices.Concat(commandSurface(t), rpcSurface(), metricSurface(t))
	for number, name := range taskv1.ErrorReason_name {
		if number != 0 {
			lines = append(lines, "reason "+name)
		}
	}
	for _, e := range exits {
		lines = append(lines, "exit code "+strconv.Itoa(e.code))
	}
	slices.Sort(lines)
	got, path := strings.Join(lines, "\n")+"\n", root+"/docs/surface.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if text(t, "/docs/surface.txt") != got {
		t.Error("docs/surface.txt is out of date: run make docs, and describe the change in CHANGELOG.md in the same commit")
	}
}

// commandSurface are the visible commands, and their flags with the environment variables.
func commandSurface(t *testing.T) (lines []string) {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.DefaultEnvars("KOOTASK"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parser.Model.Flags {
		lines = append(lines, "flag --"+f.Name)
	}
	for _, command := range parser.Model.Children {
		if command.Hidden {
			continue
		}
		lines = append(lines, "command "+command.Name)
		for _, f := range command.Flags {
			lines = append(lines, "flag "+command.Name+" --"+f.Name+" $"+strings.Join(f.Envs, " $"))
			if f.Tag.Negatable != "" {
				lines = append(lines, "flag "+command.Name+" --no-"+f.Name)
			}
		}
	}
	return append(lines, "variable $"+tokenVariable)
}

// refused are the methods of google.longrunning.Operations that kootask always refuses.
var refused = []string{"ListOperations", "CancelOperation", "DeleteOperation"}

// rpcSurface are the calls about tasks.
func rpcSurface() (lines []string) {
	for _, file := range []protoreflect.FileDescriptor{taskv1.File_koodrive_task_v1_task_proto, longrunningpb.File_google_longrunning_operations_proto} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				if slices.Contains(refused, string(method.Name())) {
					continue
				}
				line := "rpc " + string(service.FullName()) + "/" + string(method.Name())
				if method.IsStreamingServer() {
					line += " (stream)"
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// metricSurface are the metrics of the table in docs/metrics.md, which comes from a running server.
func metricSurface(t *testing.T) (lines []string) {
	t.Helper()
	rows := regexp.MustCompile("(?m)^\\| `(kootask_\\w+)` \\| (\\w+) \\| ([^|]*) \\|").FindAllStringSubmatch(text(t, "/docs/metrics.md"), -1)
	if len(rows) < 20 {
		t.Fatalf("%d metrics found in docs/metrics.md", len(rows))
	}
	for _, row := range rows {
		lines = append(lines, strings.TrimSpace("metric "+row[1]+" "+row[2]+" "+strings.ReplaceAll(row[3], "`", "")))
	}
	return lines
}
