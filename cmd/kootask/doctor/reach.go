package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/kootask/kootask/upstream"
)

// Step is a step on the way to KooDrive.
type Step struct {
	Name    string   `json:"name"`
	Verdict Verdict  `json:"verdict"` // Differs: it failed.
	Came    string   `json:"came"`
	Notes   []string `json:"notes,omitempty"`
}

// Steps returns the steps of a connection in their order, also those that were not reached.
func Steps(r upstream.Reach, config upstream.Config) []Step {
	steps := []Step{{Name: upstream.StepDNS, Came: "no name was resolved"}, {Name: upstream.StepTCP}}
	if r.Addresses > 0 {
		steps[0].Verdict, steps[0].Came = Same, fmt.Sprintf("%s, %s", count(r.Addresses, "address"), ms(r.DNS))
	} else {
		steps[0].Verdict = NotAsked
	}
	steps[1].Came = "connected, " + ms(r.TCP)
	plaintext := strings.HasPrefix(strings.ToLower(config.BaseURL), "http:")
	if config.Proxy != nil {
		steps[1].Came += ", proxy included"
		forwards := Step{Name: upstream.StepProxy, Came: "it forwards"}
		if plaintext { // Without a tunnel, only a request reaches KooDrive.
			forwards = Step{Name: upstream.StepProxy, Verdict: NotAsked, Came: "only a request shows whether the proxy forwards"}
		}
		steps = append(steps, forwards)
	}
	secured := Step{Name: upstream.StepTLS, Came: fmt.Sprintf("%s, %s", r.Version, ms(r.TLS)), Notes: certificate(r.Certificate)}
	version := Step{Name: "http", Came: "HTTP/1.1"}
	if r.Protocol == "h2" {
		version.Came = "HTTP/2"
	}
	if plaintext {
		secured = Step{Name: upstream.StepTLS, Verdict: NotAsked, Came: "the address is http"}
		version = Step{Name: "http", Came: "HTTP/1.1, by the address"}
	}
	steps = append(steps, secured, version)
	failed := false
	for i := range steps {
		step := &steps[i]
		switch {
		case step.Name == r.Failed:
			step.Verdict, step.Came, failed = Differs, failure(r, config), true
		case failed:
			*step = Step{Name: step.Name, Verdict: NotAsked, Came: "an earlier step failed"}
		case step.Verdict == "":
			step.Verdict = Same
		}
	}
	return steps
}

// PrintSteps prints steps in at most Width columns.
func PrintSteps(w io.Writer, steps []Step) {
	for _, s := range steps {
		entry(w, s.Verdict, s.Name+": "+s.Came, s.Notes...)
	}
}

// host returns the name that the certificate must have.
func host(config upstream.Config) string {
	_, name, _ := strings.Cut(config.BaseURL, "://")
	name = strings.TrimSuffix(name, "/")
	if h, _, err := net.SplitHostPort(name); err == nil {
		return h
	}
	return name
}

// failure says why a step failed, and what to do.
func failure(r upstream.Reach, config upstream.Config) string {
	host, flag := host(config), "--upstream-url"
	if config.Proxy != nil && r.Failed != upstream.StepTLS {
		host, flag = config.Proxy.Hostname(), "--upstream-proxy"
	}
	var (
		network net.Error
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		noTLS   tls.RecordHeaderError
	)
	switch err := r.Err; {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet. Compare its dates with this machine's clock"
	case errors.As(err, &name):
		return "the certificate is not for " + host + ". Check " + flag
	case errors.As(err, &unknown):
		return "the certificate's authority is not trusted. Name it with --upstream-ca"
	case errors.As(err, &noTLS):
		return "the server does not speak TLS. Check the port in " + flag
	case r.Failed == upstream.StepDNS:
		return "the name " + host + " has no address. Check " + flag + ", and this machine's name servers"
	case r.Failed == upstream.StepProxy:
		return "the proxy does not forward. Check --upstream-proxy"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on the port. Check " + flag + ", and firewalls"
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time. Check firewalls"
	case r.Failed == upstream.StepTLS:
		return "the handshake failed. Check that the address in " + flag + " is KooDrive's"
	}
	return "the connection failed. Check " + flag + ", and firewalls"
}

const maxNames = 5

var nameForm = regexp.MustCompile(`^[A-Za-z0-9*._:-]{1,253}$`)

// certificate returns the names and the dates of a certificate.
func certificate(c *x509.Certificate) []string {
	if c == nil {
		return nil
	}
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	more := ""
	if len(names) > maxNames {
		names, more = names[:maxNames], " and others"
	}
	for i, name := range names {
		if !nameForm.MatchString(name) {
			names[i] = "…"
		}
	}
	if len(names) == 0 {
		names = []string{"no name"}
	}
	return []string{
		"The certificate is for " + strings.Join(names, ", ") + more + ".",
		"It is valid from " + c.NotBefore.UTC().Format(time.DateTime) + " to " + c.NotAfter.UTC().Format(time.DateTime) + " UTC.",
	}
}

// ms returns a time in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// count returns a number with its noun.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
