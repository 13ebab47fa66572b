package version

import (
	"runtime/debug"
	"testing"
)

func TestChoose(t *testing.T) {
	module := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}}
	}
	for name, row := range map[string]struct {
		stamped string
		info    *debug.BuildInfo
		want    string
	}{
		"make":                {"0.0.0-7-gabc", module("v0.0.0-20260102030405-abcdefabcdef"), "0.0.0-7-gabc"},
		"go install":          {"", module("v1.2.3"), "1.2.3"},
		"go build":            {"", module("v0.0.0-20260102030405-abcdefabcdef+dirty"), "0.0.0-20260102030405-abcdefabcdef+dirty"},
		"go build, no commit": {"", module("(devel)"), "0.0.0-unknown"},
		"an older go":         {"", module(""), "0.0.0-unknown"},
		"no information":      {"", nil, "0.0.0-unknown"},
	} {
		if got := choose(row.stamped, row.info); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}
