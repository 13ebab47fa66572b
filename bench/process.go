package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the CPU times in /proc.
const tick = time.Second / 100

// startTime is how long a server may take to listen, and stopTime how long it may take to end.
const (
	startTime = 20 * time.Second
	stopTime  = 15 * time.Second
)

// process is a server, with its children.
type process struct {
	name    string
	command *exec.Cmd
	log     *os.File
	ended   chan struct{} // Closed when it has ended.
	err     error         // How it ended. It may be read once ended is closed.
	// profiles is the address of the port with the profiles; empty: the program has none.
	profiles string
	// check is called before the process is stopped. Nil: nothing is checked.
	check func() error
}

// start starts a program and waits until it listens on a port. Its output goes to a file of its own.
func (b *bench) start(ctx context.Context, name, port string, argv ...string) (*process, error) {
	out, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	command := exec.Command(argv[0], argv[1:]...) //nolint:noctx // stop ends it.
	p := &process{name: name, log: out, command: command, ended: make(chan struct{})}
	p.command.Stderr = out
	if err := p.command.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	b.running = append(b.running, p)
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	for end := time.Now().Add(startTime); ; {
		c, err := net.Dial("tcp", port) //nolint:noctx // The port is on this machine.
		if err == nil {
			return p, c.Close()
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended: %w: %s", name, p.err, tail(out.Name()))
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s does not listen on %s: %s", name, port, tail(out.Name()))
		}
	}
}

// tail returns the end of a file, for errors.
func tail(path string) string {
	text, _ := os.ReadFile(path)
	return string(text[max(0, len(text)-500):])
}

// stop ends a process and removes its log.
func (p *process) stop() error {
	err := p.command.Process.Signal(os.Interrupt) // After SIGTERM, kootask serves for 2 s more.
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		err = errors.Join(fmt.Errorf("%s did not end within %v", p.name, stopTime), p.command.Process.Kill())
		<-p.ended
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = fmt.Errorf("%s has ended: %s", p.name, tail(p.log.Name()))
	}
	return errors.Join(err, p.log.Close(), os.Remove(p.log.Name()))
}

// pids returns the process and its children.
func (p *process) pids() []string {
	pid := strconv.Itoa(p.command.Process.Pid)
	// A process that has ended is noticed by stop.
	children, _ := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	return append(strings.Fields(string(children)), pid)
}

// cpu returns the CPU time so far, of the user and of the system.
func (p *process) cpu() time.Duration {
	sum := time.Duration(0)
	for _, pid := range p.pids() {
		text, _ := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		// The fields follow the name, which is in parentheses and may have any characters.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			sum += time.Duration(user+system) * tick
		}
	}
	return sum
}

var resident = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// rss returns the resident memory, in bytes.
func (p *process) rss() float64 {
	sum := 0.0
	for _, pid := range p.pids() {
		text, _ := os.ReadFile(filepath.Join("/proc", pid, "status"))
		if m := resident.FindSubmatch(text); m != nil {
			kb, _ := strconv.Atoi(string(m[1]))
			sum += float64(kb) * 1024
		}
	}
	return sum
}

// unused finds the unused memory that Go's heap keeps.
var unused = regexp.MustCompile(`(?m)^# (HeapIdle|HeapReleased) = (\d+)$`)

// memory returns the resident memory after a garbage collection, in bytes. The profile of the heap makes two, because
// the first leaves objects in pools, and it prints the statistics of the heap. Go returns unused memory to the system only
// slowly, so the part that it has not returned yet is subtracted. The result is as after debug.FreeOSMemory,
// but the program needs no route for it. Other programs than Go's have no profile, and their memory is as it is.
func (p *process) memory() (float64, error) {
	if p.profiles == "" {
		return p.rss(), nil
	}
	var page string
	for range 2 {
		var err error
		if page, err = get("http://" + p.profiles + "/debug/pprof/heap?gc=1&debug=1"); err != nil {
			return 0, err
		}
	}
	sizes := map[string]float64{}
	for _, m := range unused.FindAllStringSubmatch(page, -1) {
		sizes[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	if len(sizes) != 2 {
		return 0, fmt.Errorf("%s: the profile of the heap has no statistics", p.name)
	}
	return p.rss() - (sizes["HeapIdle"] - sizes["HeapReleased"]), nil
}

// freeAddr returns an address on this machine that nothing listens on.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It is closed at once.
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// get returns the body of a page.
func get(url string) (string, error) { return request(http.MethodGet, url) }

// request returns the body of an answer, whose status must be 200.
func request(method, url string) (string, error) {
	r, err := http.NewRequest(method, url, nil) //nolint:noctx // The servers are on this machine.
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

// number gets a number from a page.
func number(url string) (float64, error) {
	text, err := get(url)
	if err != nil {
		return math.NaN(), err
	}
	return strconv.ParseFloat(text, 64)
}

// metric returns the sum of a metric's series.
func metric(addr, name string) (sum float64, err error) {
	page, err := get("http://" + addr + "/metrics")
	found := false
	for line := range strings.Lines(page) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); base == name {
			n, parse := strconv.ParseFloat(value, 64)
			sum, err, found = sum+n, cmp.Or(err, parse), true
		}
	}
	if err == nil && !found {
		err = fmt.Errorf("the metric %s is missing", name)
	}
	return sum, err
}

// machine describes this computer.
func machine() string {
	text, _ := os.ReadFile("/proc/meminfo")
	fields := strings.Fields(string(text))
	memory := 0
	if i := slices.Index(fields, "MemTotal:"); i >= 0 {
		memory, _ = strconv.Atoi(fields[i+1])
	}
	return fmt.Sprintf("%d cores, %.0f GiB", runtime.NumCPU(), float64(memory)/(1<<20))
}
