package server_test

import (
	"bufio"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// scrape returns the value of each series of /metrics.
func (s *system) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	resp, err := s.admin.Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := cutLast(lines.Text()); ok && !strings.HasPrefix(name, "#") {
			if all[name], err = strconv.ParseFloat(value, 64); err != nil {
				t.Error(err)
			}
		}
	}
	return all
}

func cutLast(line string) (name, value string, ok bool) {
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return "", "", false
	}
	return line[:at], line[at+1:], true
}

// events are the series that count events of this service, except those that every call moves.
var events = regexp.MustCompile(`^kootask_(.*_total.*)$`)

// moved returns the counters that do increases, and by how much.
func (s *system) moved(t *testing.T, do func()) map[string]float64 {
	t.Helper()
	before := s.scrape(t)
	do()
	changes := map[string]float64{}
	for name, value := range s.scrape(t) {
		if m := events.FindStringSubmatch(name); m != nil && value != before[name] {
			changes[m[1]] = value - before[name]
		}
	}
	return changes
}
