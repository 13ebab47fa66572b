package server

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/internal/version"
)

// buildInfo returns the metric with the version of the program.
func buildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kootask_build_info", Help: "Always 1. The labels have the version of kootask and of Go.",
		ConstLabels: prometheus.Labels{"version": version.String(), "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
