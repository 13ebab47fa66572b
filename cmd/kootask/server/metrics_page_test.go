package server_test

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/internal/docpage"
	"github.com/kootask/kootask/service/auth"
)

// exposed is a metric in Prometheus' text format: its name, help and type, and its first series.
var exposed = regexp.MustCompile(`(?m)^# HELP (kootask_\w+) (.*)\n# TYPE kootask_\w+ (\w+)\n(.*)$`)

// docs/metrics.md has every metric of kootask, as /metrics shows it: make docs writes it.
func TestMetricsPage(t *testing.T) {
	everything := func(c *server.Config) {
		c.TLS = func() server.TLS { return server.TLS{Certificate: certificates.NewCA().Server("kootask.test").TLS} }
		c.Auth.Tokens = &auth.TokensConfig{Issuer: "https://issuer.test", Audience: "kootask"}
		c.LogMetrics = logging.New(io.Discard, func(to io.Writer) slog.Handler { return slog.NewJSONHandler(to, nil) })
		c.Files = &reload.Files{}
		if _, err := reload.Read(c.Files, "file", []string{"metrics_test.go"}, func([]credfile.File) (int, error) { return 0, nil }); err != nil {
			t.Fatal(err)
		}
	}
	bubble(t, everything, func(t *testing.T, s *system) {
		resp, err := s.admin.Get("http://localhost/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		rows := [][]string{{"metric", "type", "labels", ""}}
		for _, m := range exposed.FindAllStringSubmatch(string(text), -1) {
			name, help, kind, series := m[1], m[2], m[3], m[4]
			var labels []string
			for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(series, -1) {
				if l[1] != "le" {
					labels = append(labels, "`"+l[1]+"`")
				}
			}
			rows = append(rows, []string{"`" + name + "`", kind, strings.Join(labels, ", "), help})
		}
		if err := docpage.Sync("../../../docs/metrics.md", "metrics", docpage.Table(rows), *update); err != nil {
			t.Error(err)
		}
	})
}
