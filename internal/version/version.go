// Package version knows the version of this build, which the command, the metrics and the user agents report. It does not
// compare versions.
//
//	fmt.Println("kootask", version.String())
package version

import (
	"runtime/debug"
	"strings"
)

// stamped is the version that make sets with -ldflags. It is empty in other builds.
var stamped string

// unknown is the version of a build by neither make nor go install, and of tests.
const unknown = "0.0.0-unknown"

// String returns the version, such as 1.2.3 for the release v1.2.3. A build of another commit by make has 0.0.0-N-gCOMMIT,
// where N is the number of commits. Without make, it is the version of the module that the go command has recorded, or
// 0.0.0-unknown. It has no space, so it may be part of a user agent.
func String() string {
	info, _ := debug.ReadBuildInfo()
	return choose(stamped, info)
}

// choose returns the version of a build. info may be nil.
func choose(stamped string, info *debug.BuildInfo) string {
	switch {
	case stamped != "":
		return stamped
	case info == nil || !strings.HasPrefix(info.Main.Version, "v"): // Such as "(devel)".
		return unknown
	default:
		return strings.TrimPrefix(info.Main.Version, "v")
	}
}
